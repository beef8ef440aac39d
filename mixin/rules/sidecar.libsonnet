function(t) {
 "groups": [
  {
   "name": "wellbeing-recording",
   "rules": [
    {
     "record": "wellbeing:paused:ratio_rate5m",
     "expr": "max by (" + t["cluster,"] + "scope) (clamp_max(rate(wellbeing_paused_seconds_total" + t["{sidecar}"] + "[5m]), 1))\n"
    },
    {
     "record": "wellbeing:paused:ratio_rate30m",
     "expr": "max by (" + t["cluster,"] + "scope) (clamp_max(rate(wellbeing_paused_seconds_total" + t["{sidecar}"] + "[30m]), 1))\n"
    },
    {
     "record": "wellbeing:paused:ratio_rate1h",
     "expr": "max by (" + t["cluster,"] + "scope) (clamp_max(rate(wellbeing_paused_seconds_total" + t["{sidecar}"] + "[1h]), 1))\n"
    },
    {
     "record": "wellbeing:paused:ratio_rate6h",
     "expr": "max by (" + t["cluster,"] + "scope) (clamp_max(rate(wellbeing_paused_seconds_total" + t["{sidecar}"] + "[6h]), 1))\n"
    },
    {
     "record": "wellbeing:paused:ratio_rate1d",
     "expr": "max by (" + t["cluster,"] + "scope) (clamp_max(rate(wellbeing_paused_seconds_total" + t["{sidecar}"] + "[1d]), 1))\n"
    },
    {
     "record": "wellbeing:pause_budget:burn_rate5m",
     "expr": "wellbeing:paused:ratio_rate5m / scalar(wellbeing:threshold{name=\"pause_budget\"})\n"
    },
    {
     "record": "wellbeing:pause_budget:burn_rate1h",
     "expr": "wellbeing:paused:ratio_rate1h / scalar(wellbeing:threshold{name=\"pause_budget\"})\n"
    },
    {
     "record": "wellbeing:pause_budget:burn_rate6h",
     "expr": "wellbeing:paused:ratio_rate6h / scalar(wellbeing:threshold{name=\"pause_budget\"})\n"
    },
    {
     "record": "wellbeing:pause_budget:burn_rate1d",
     "expr": "wellbeing:paused:ratio_rate1d / scalar(wellbeing:threshold{name=\"pause_budget\"})\n"
    }
   ]
  },
  {
   "name": "wellbeing-sidecar",
   "rules": [
    {
     "alert": "WellbeingSidecarDown",
     "expr": "group by (" + t["cluster,"] + "namespace, job, instance) (last_over_time(wellbeing_build_info" + t["{sidecar}"] + "[1d])) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
     "for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} cannot be scraped",
      "description": "The wellbeing sidecar at {{ $labels.instance }} cannot be scraped. Requests that ask its gates directly fail. Clients follow the last state that they know, and then their setting unreachable.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingsidecardown"
     }
    },
    {
     "alert": "WellbeingBlind",
     "expr": "wellbeing_blind" + t["{sidecar}"] + " == 1\n",
     "for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} is blind: its watchdog alert is missing",
      "description": "The wellbeing sidecar at {{ $labels.instance }} is blind: its watchdog alert is missing. Prometheus or Alertmanager is down, or the watchdog alert does not reach the sidecar. Until it does, a resolved alert lifts no pause.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingblind"
     }
    },
    {
     "alert": "WellbeingWatchdogNeverHeard",
     "expr": "wellbeing_watchdog_heard" + t["{sidecar}"] + " == 0\n",
     "for": "15m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} has never received its watchdog alert",
      "description": "The wellbeing sidecar at {{ $labels.instance }} has never received its watchdog alert. A watchdog is configured, but the alert has never arrived: its rule, its route or its name is wrong. Until it arrives, the sidecar cannot tell that Prometheus or Alertmanager is down.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingwatchdogneverheard"
     }
    },
    {
     "alert": "WellbeingStoreDown",
     "expr": "wellbeing_store_up" + t["{sidecar}"] + " == 0\n",
     "for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} cannot write its state",
      "description": "The wellbeing sidecar at {{ $labels.instance }} cannot write its state. It refuses changes with 503. The gates continue with the state in memory.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingstoredown"
     }
    },
    {
     "alert": "WellbeingFleetWithoutLeader",
     "expr": "group by (" + t["cluster,"] + "namespace, job) (wellbeing_fleet_leader" + t["{sidecar}"] + ") unless on (" + t["cluster,"] + "namespace, job) group by (" + t["cluster,"] + "namespace, job) (wellbeing_fleet_leader" + t["{sidecar}"] + " == 1)\n",
     "for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The fleet of wellbeing sidecars {{ $labels.job }} has no leader",
      "description": "The fleet of wellbeing sidecars {{ $labels.job }} has no leader. Alertmanager is not queried, and the watchdog is not checked.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingfleetwithoutleader"
     }
    },
    {
     "alert": "WellbeingFleetBehind",
     "expr": "wellbeing_fleet_known_commit" + t["{sidecar}"] + " - wellbeing_fleet_applied_commit" + t["{sidecar}"] + " > 0\nand changes(wellbeing_fleet_applied_commit" + t["{sidecar}"] + "[1m]) == 0\n",
     "for": "1m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} does not apply the commits of its fleet",
      "description": "The wellbeing sidecar at {{ $labels.instance }} does not apply the commits of its fleet. It is {{ $value | humanize }} commits behind, so its gates may show an older state.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingfleetbehind"
     }
    },
    {
     "alert": "WellbeingFleetStoreWentBack",
     "expr": "wellbeing_fleet_went_back_total" + t["{sidecar}"] + " - (wellbeing_fleet_went_back_total" + t["{sidecar}"] + " offset 15m or wellbeing_fleet_went_back_total" + t["{sidecar}"] + " * 0) > 0\n",
     "labels": {
      "severity": "critical",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The Redis of the wellbeing sidecar at {{ $labels.instance }} lost commits",
      "description": "The Redis of the wellbeing sidecar at {{ $labels.instance }} lost commits that were acknowledged. A sidecar that had applied these changes writes them to Redis again.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingfleetstorewentback"
     }
    },
    {
     "alert": "WellbeingFleetFromLastKnown",
     "expr": "wellbeing_fleet_last_known" + t["{sidecar}"] + " == 1\n",
     "for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} serves its last known state",
      "description": "The wellbeing sidecar at {{ $labels.instance }} serves its last known state, because Redis did not answer when it started. It refuses changes with 503.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingfleetfromlastknown"
     }
    },
    {
     "alert": "WellbeingTaskFailing",
     "expr": "sum without () (\n  increase(wellbeing_task_failures_total" + t["{sidecar}"] + "[10m]) > 0\n  or (wellbeing_task_failures_total" + t["{sidecar}"] + " > 0 unless last_over_time(wellbeing_task_failures_total" + t["{sidecar}"] + "[1d] offset 10m))\n)\n",
     "keep_firing_for": "10m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The background task {{ $labels.task }} of the wellbeing sidecar at {{ $labels.instance }} failed {{ $value | humanize }} times in 10 minutes",
      "description": "The background task {{ $labels.task }} of the wellbeing sidecar at {{ $labels.instance }} failed {{ $value | humanize }} times in 10 minutes. It was started again each time. An unexpected error is a bug or a damaged environment; the log has the traceback.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingtaskfailing"
     }
    },
    {
     "alert": "WellbeingPausedTooLong",
     "expr": "max by (" + t["cluster,"] + "scope) (wellbeing_current_pause_duration_seconds" + t["{sidecar}"] + ") > scalar(wellbeing:threshold{name=\"paused_seconds\"})\n",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} has been paused for {{ $value | humanizeDuration }}",
      "description": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} has been paused for {{ $value | humanizeDuration }}. Its requests wait or time out.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingpausedtoolong"
     }
    },
    {
     "alert": "WellbeingFlapping",
     "expr": "max by (" + t["cluster,"] + "scope) (\n  sum without (cause) (increase(wellbeing_pauses_total" + t["{sidecar}"] + "[15m]))\n  or label_replace(changes(wellbeing_paused" + t["{sidecar}"] + "[15m]) / 2, \"counted_by\", \"gate\", \"\", \"\")\n) > scalar(wellbeing:threshold{name=\"pauses_per_quarter_hour\"})\n",
     "keep_firing_for": "15m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was paused {{ $value | humanize }} times in 15 minutes",
      "description": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was paused {{ $value | humanize }} times in 15 minutes. The pause changes the metrics that its own alert uses: the engine drains, the alert resolves, all waiting requests arrive at once, and the alert fires again.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingflapping"
     }
    },
    {
     "alert": "WellbeingRequestsFail",
     "expr": "(\n  sum by (" + t["cluster,"] + "scope) (rate(wellbeing_admitted_total{" + t["sidecar,"] + "outcome=\"failed\"}[5m]))\n  / sum by (" + t["cluster,"] + "scope) (rate(wellbeing_admitted_total" + t["{sidecar}"] + "[5m]))\n) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum by (" + t["cluster,"] + "scope) (rate(wellbeing_admitted_total" + t["{sidecar}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n",
     "for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests admitted at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} fail",
      "description": "{{ $value | humanizePercentage }} of the requests admitted at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} in the last 5 minutes ended in a 5xx or an exception.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingrequestsfail"
     }
    },
    {
     "alert": "WellbeingWaitersPileUp",
     "expr": "sum by (" + t["cluster,"] + "scope) (wellbeing_waiters" + t["{sidecar}"] + ") > scalar(wellbeing:threshold{name=\"waiters\"})\n",
     "for": "1m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ $value }} requests wait at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }}",
      "description": "{{ $value }} requests wait at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }}. They hold memory and connections in the sidecar and in the servers in front of it.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingwaiterspileup"
     }
    },
    {
     "alert": "WellbeingPriorityStarved",
     "expr": "max by (" + t["cluster,"] + "scope, priority) (wellbeing_priority_starved_seconds" + t["{sidecar}"] + ") > scalar(wellbeing:threshold{name=\"priority_starved_seconds\"})\n",
     "for": "1m",
     "keep_firing_for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "Requests of priority {{ $labels.priority }} at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} starve",
      "description": "Requests of priority {{ $labels.priority }} at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} have waited for {{ $value | humanizeDuration }} while only higher priorities passed. The rate is not enough for both.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingprioritystarved"
     }
    },
    {
     "alert": "WellbeingTimeouts",
     "expr": "sum by (" + t["cluster,"] + "scope) (rate(wellbeing_requests_timed_out_total" + t["{sidecar}"] + "[5m])) / sum by (" + t["cluster,"] + "scope) (rate(wellbeing_requests_total" + t["{sidecar}"] + "[5m])) > scalar(wellbeing:threshold{name=\"timed_out_ratio\"})\nand sum by (" + t["cluster,"] + "scope) (rate(wellbeing_requests_total" + t["{sidecar}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} time out",
      "description": "{{ $value | humanizePercentage }} of the requests at {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} time out. The pause lasts longer than requests may wait.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingtimeouts"
     }
    },
    {
     "alert": "WellbeingWebhooksRefused",
     "expr": "sum without (result) (\n  increase(wellbeing_webhook_notifications_total{" + t["sidecar,"] + "result=~\"invalid|unauthorized|unavailable\"}[10m]) > 0\n  or (wellbeing_webhook_notifications_total{" + t["sidecar,"] + "result=~\"invalid|unauthorized|unavailable\"} > 0 unless last_over_time(wellbeing_webhook_notifications_total{" + t["sidecar,"] + "result=~\"invalid|unauthorized|unavailable\"}[1d] offset 10m))\n)\n",
     "keep_firing_for": "10m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} refused {{ $value | humanize }} notifications in 10 minutes",
      "description": "The wellbeing sidecar at {{ $labels.instance }} refused {{ $value | humanize }} notifications in 10 minutes. Alerts may be missing.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingwebhooksrefused"
     }
    },
    {
     "alert": "WellbeingAlertsMisdirected",
     "expr": "sum without (status, outcome) (\n  increase(wellbeing_webhook_alerts_total{" + t["sidecar,"] + "outcome=\"misdirected\"}[15m]) > 0\n  or (wellbeing_webhook_alerts_total{" + t["sidecar,"] + "outcome=\"misdirected\"} > 0 unless last_over_time(wellbeing_webhook_alerts_total{" + t["sidecar,"] + "outcome=\"misdirected\"}[1d] offset 15m))\n)\n",
     "keep_firing_for": "30m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} ignored {{ $value | humanize }} alerts in 15 minutes because they name no scope",
      "description": "The wellbeing sidecar at {{ $labels.instance }} ignored {{ $value | humanize }} alerts in 15 minutes because they name no scope. The label that names the scope is missing or empty. These alerts pause nothing.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingalertsmisdirected"
     }
    },
    {
     "alert": "WellbeingNotificationsWrong",
     "expr": "sum without (what) (\n  increase(wellbeing_reconcile_corrections_total" + t["{sidecar}"] + "[30m]) > 0\n  or (wellbeing_reconcile_corrections_total" + t["{sidecar}"] + " > 0 unless last_over_time(wellbeing_reconcile_corrections_total" + t["{sidecar}"] + "[1d] offset 30m))\n)\n",
     "keep_firing_for": "30m",
     "labels": {
      "severity": "info",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "Reconciliation corrected {{ $value | humanize }} signals of the wellbeing sidecar at {{ $labels.instance }} in 30 minutes",
      "description": "Reconciliation corrected {{ $value | humanize }} signals of the wellbeing sidecar at {{ $labels.instance }} in 30 minutes. A notification was lost, late or truncated, or an alert was silenced.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingnotificationswrong"
     }
    },
    {
     "alert": "WellbeingAlertmanagerUnreachable",
     "expr": "wellbeing_alertmanager_up" + t["{sidecar}"] + " == 0\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} cannot reach {{ $labels.alertmanager }}",
      "description": "The wellbeing sidecar at {{ $labels.instance }} cannot reach {{ $labels.alertmanager }}. If a notification is lost meanwhile, the sidecar does not notice.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingalertmanagerunreachable"
     }
    },
    {
     "alert": "WellbeingConfigReloadFailed",
     "expr": "wellbeing_config_last_reload_successful" + t["{sidecar}"] + " == 0\n",
     "for": "1m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The wellbeing sidecar at {{ $labels.instance }} rejected its last config",
      "description": "The wellbeing sidecar at {{ $labels.instance }} rejected its last config. It continues with its earlier config.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingconfigreloadfailed"
     }
    },
    {
     "alert": "WellbeingHookFailing",
     "expr": "wellbeing_hook_pending" + t["{sidecar}"] + " > 0\n  unless on (" + t["cluster,"] + "namespace, job, instance, hook) increase(wellbeing_hook_deliveries_total{" + t["sidecar,"] + "result=\"delivered\"}[5m]) > 0\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The hook {{ $labels.hook }} of the wellbeing sidecar at {{ $labels.instance }} fails",
      "description": "The hook {{ $labels.hook }} of the wellbeing sidecar at {{ $labels.instance }} fails. {{ $value }} events wait for it, and none has arrived for 5 minutes.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeinghookfailing"
     }
    },
    {
     "alert": "WellbeingHookDropsEvents",
     "expr": "sum by (" + t["cluster,"] + "namespace, job, instance, hook) (increase(wellbeing_hook_deliveries_total{" + t["sidecar,"] + "result=\"dropped\"}[15m])) > 0\n",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The hook {{ $labels.hook }} of the wellbeing sidecar at {{ $labels.instance }} drops events",
      "description": "The hook {{ $labels.hook }} of the wellbeing sidecar at {{ $labels.instance }} drops events. Its receiver misses these events.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeinghookdropsevents"
     }
    },
    {
     "alert": "WellbeingEngineOutOfSync",
     "expr": "min by (" + t["cluster,"] + "scope, engine) (wellbeing_engine_in_sync" + t["{sidecar}"] + ") == 0\n",
     "for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The engine {{ $labels.engine }} does not follow the gate of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }}",
      "description": "The engine {{ $labels.engine }} does not follow the gate of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }}. The gate is closed and the engine runs, or the gate is open and the engine is paused. Reported by:{{ range printf \"wellbeing_engine_in_sync{scope=%q,engine=%q} == 0\" $labels.scope $labels.engine | query | sortByLabel \"instance\" }} {{ .Labels.instance }}{{ end }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingengineoutofsync"
     }
    },
    {
     "alert": "WellbeingEngineNotAsleep",
     "expr": "sum by (" + t["cluster,"] + "scope, engine) (increase(wellbeing_engine_requests_total{" + t["sidecar,"] + "action=\"sleep\",result=\"failed\"}[5m])) > 0\nunless max by (" + t["cluster,"] + "scope, engine) (wellbeing_engine_asleep" + t["{sidecar}"] + ") == 1\n",
     "for": "3m",
     "labels": {
      "severity": "info",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The engine {{ $labels.engine }} of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} refuses to sleep in a long pause",
      "description": "The engine {{ $labels.engine }} of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} has been paused for longer than sleep_after_secs, and refuses to sleep. It stays paused and keeps its GPU memory.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingenginenotasleep"
     }
    },
    {
     "alert": "WellbeingEngineLeftPaused",
     "expr": "max by (" + t["cluster,"] + "namespace, job, instance) (wellbeing_engines_left_paused" + t["{sidecar}"] + ") > 0\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "Engines left the config of the wellbeing sidecar at {{ $labels.instance }} and are still paused",
      "description": "{{ $value }} engines left the config of the wellbeing sidecar at {{ $labels.instance }} while it kept them paused. It could not resume them, so requests hang in them.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingengineleftpaused"
     }
    },
    {
     "alert": "WellbeingClientsGone",
     "expr": "increase(wellbeing_clients_gone_total" + t["{sidecar}"] + "[10m]) > 0\n",
     "keep_firing_for": "10m",
     "labels": {
      "severity": "info",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ $value | humanize }} clients of the wellbeing sidecar at {{ $labels.instance }} stopped reporting in 10 minutes",
      "description": "{{ $value | humanize }} clients of the wellbeing sidecar at {{ $labels.instance }} stopped reporting in 10 minutes. Their processes ended without a last report, or cannot reach the sidecar and follow the last state that they know.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingclientsgone"
     }
    },
    {
     "alert": "WellbeingImportDown",
     "expr": "min by (" + t["cluster,"] + "scope, import) (wellbeing_import_up" + t["{sidecar}"] + ") == 0\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The import {{ $labels.import }} of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} cannot be read",
      "description": "The import {{ $labels.import }} of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} cannot be read. Its counters do not change, and its state no longer counts. Reported by:{{ range printf \"wellbeing_import_up{scope=%q,import=%q} == 0\" $labels.scope $labels.import | query | sortByLabel \"instance\" }} {{ .Labels.instance }}{{ end }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingimportdown"
     }
    },
    {
     "alert": "WellbeingThresholdsMissing",
     "expr": "absent(wellbeing:threshold{name=\"error_ratio\"})\nor absent(wellbeing:threshold{name=\"abort_ratio\"})\nor absent(wellbeing:threshold{name=\"repetition_ratio\"})\nor absent(wellbeing:threshold{name=\"corrupted_requests\"})\nor absent(wellbeing:threshold{name=\"traffic_floor\"})\nor absent(wellbeing:threshold{name=\"requests_waiting\"})\nor absent(wellbeing:threshold{name=\"requests_deferred\"})\nor absent(wellbeing:threshold{name=\"queue_seconds\"})\nor absent(wellbeing:threshold{name=\"kv_cache_usage\"})\nor absent(wellbeing:threshold{name=\"preemptions_per_second\"})\nor absent(wellbeing:threshold{name=\"latency_times_baseline\"})\nor absent(wellbeing:threshold{name=\"first_token_seconds\"})\nor absent(wellbeing:threshold{name=\"inter_token_seconds\"})\nor absent(wellbeing:threshold{name=\"answer_share_times_baseline\"})\nor absent(wellbeing:threshold{name=\"cut_ratio\"})\nor absent(wellbeing:threshold{name=\"empty_ratio\"})\nor absent(wellbeing:threshold{name=\"short_answer_ratio\"})\nor absent(wellbeing:threshold{name=\"paused_seconds\"})\nor absent(wellbeing:threshold{name=\"pauses_per_quarter_hour\"})\nor absent(wellbeing:threshold{name=\"waiters\"})\nor absent(wellbeing:threshold{name=\"priority_starved_seconds\"})\nor absent(wellbeing:threshold{name=\"timed_out_ratio\"})\nor absent(wellbeing:threshold{name=\"pause_budget\"})\nor absent(wellbeing:threshold{name=\"advised_pauses_per_day\"})\nor count by (" + t["cluster,"] + "name) (wellbeing:threshold) > 1\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The threshold {{ $labels.name }} is missing or defined more than once",
      "description": "The threshold {{ $labels.name }} is missing or defined more than once. Alerts that use it cannot fire. Load thresholds.rules.yml, or one complete copy of it, as a rule file of Prometheus.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingthresholdsmissing"
     }
    },
    {
     "alert": "WellbeingMasksMissing",
     "expr": "count by (" + t["cluster,"] + "kind) (wellbeing:engine_info) unless on (" + t["cluster,"] + "kind) count by (" + t["cluster,"] + "kind) (wellbeing:engine_path)\n",
     "for": "5m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "The alerts for {{ $labels.kind }} are loaded without masks.rules.yml",
      "description": "The alerts for {{ $labels.kind }} are loaded without masks.rules.yml. Nothing is masked: while the sidecar keeps one of these engines paused, the pause can keep its own alert firing. Load masks.rules.yml as a rule file of Prometheus.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingmasksmissing"
     }
    },
    {
     "alert": "WellbeingPauseBudgetBurnsFast",
     "expr": "wellbeing:paused:ratio_rate1h > 14.4 * scalar(wellbeing:threshold{name=\"pause_budget\"})\nand wellbeing:paused:ratio_rate5m > 14.4 * scalar(wellbeing:threshold{name=\"pause_budget\"})\n",
     "for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was paused for {{ $value | humanizePercentage }} of the last 1h",
      "description": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was paused for {{ $value | humanizePercentage }} of the last 1h. That is at least 14.4 times its pause budget.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingpausebudgetburnsfast"
     }
    },
    {
     "alert": "WellbeingPauseBudgetBurnsSlowly",
     "expr": "wellbeing:paused:ratio_rate6h > 6 * scalar(wellbeing:threshold{name=\"pause_budget\"})\nand wellbeing:paused:ratio_rate30m > 6 * scalar(wellbeing:threshold{name=\"pause_budget\"})\n",
     "for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was paused for {{ $value | humanizePercentage }} of the last 6h",
      "description": "{{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was paused for {{ $value | humanizePercentage }} of the last 6h. That is at least 6 times its pause budget.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingpausebudgetburnsslowly"
     }
    },
    {
     "alert": "WellbeingAdviceGivenOften",
     "expr": "max by (" + t["cluster,"] + "scope) (increase(wellbeing_advised_pauses_total" + t["{sidecar}"] + "[1d])) > scalar(wellbeing:threshold{name=\"advised_pauses_per_day\"})\n",
     "labels": {
      "severity": "info",
      "wellbeing": "ignore"
     },
     "annotations": {
      "summary": "A pause of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was advised {{ $value | humanize }} times in a day",
      "description": "A pause of {{ with $labels.scope }}{{ . }}{{ else }}(root){{ end }} was advised {{ $value | humanize }} times in a day. The policy of the scope only observes, so no request had to wait. If the pauses would have helped, switch them on; if not, correct the alerts that cause them.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sidecar.md#wellbeingadvicegivenoften"
     }
    }
   ]
  }
 ]
}
