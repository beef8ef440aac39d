function(t) {
 "groups": [
  {
   "name": "wellbeing-llamacpp-latency",
   "rules": [
    {
     "record": "wellbeing:llamacpp_token_seconds:mean_5m",
     "expr": "(\n  rate(llamacpp:tokens_predicted_seconds_total" + t["{llamacpp}"] + "[5m]) / rate(llamacpp:tokens_predicted_total" + t["{llamacpp}"] + "[5m])\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-llamacpp-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, namespace, pod, joined) (\n  label_join(llamacpp:requests_processing" + t["{llamacpp}"] + ", \"joined\", \"/\", \"namespace\", \"pod\")\n  or label_join(llamacpp:requests_processing" + t["{llamacpp}"] + ", \"joined\", \"/\", \"namespace\", \"job\")\n)\n",
     "labels": {
      "kind": "llamacpp"
     }
    },
    {
     "record": "wellbeing:engine_backlog:deriv5m",
     "expr": "sum by (" + t["cluster,"] + "job, instance) (deriv(llamacpp:requests_deferred" + t["{llamacpp}"] + "[5m]))\n",
     "labels": {
      "kind": "llamacpp"
     }
    }
   ]
  },
  {
   "name": "wellbeing-llamacpp",
   "rules": [
    {
     "alert": "LlamacppQueueGrows",
     "expr": "llamacpp:requests_deferred" + t["{llamacpp}"] + " > scalar(wellbeing:threshold{name=\"requests_deferred\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value }} requests are deferred by {{ $labels.instance }}",
      "description": "{{ $value }} requests are deferred by {{ $labels.instance }}. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/llamacpp.md#llamacppqueuegrows"
     }
    },
    {
     "alert": "LlamacppStuck",
     "expr": "llamacpp:requests_processing" + t["{llamacpp}"] + " + llamacpp:requests_deferred" + t["{llamacpp}"] + " > 0\nand rate(llamacpp:tokens_predicted_total" + t["{llamacpp}"] + "[5m]) == 0\nand rate(llamacpp:prompt_tokens_total" + t["{llamacpp}"] + "[5m]) == 0\nand rate(llamacpp:n_decode_total" + t["{llamacpp}"] + "[5m]) == 0\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_held\n",
     "for": "3m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.instance }} decodes nothing although it has {{ $value }} requests",
      "description": "{{ $labels.instance }} decodes nothing although it has {{ $value }} requests. It may still report that it is healthy. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/llamacpp.md#llamacppstuck"
     }
    },
    {
     "alert": "LlamacppSlow",
     "expr": "wellbeing:llamacpp_token_seconds:mean_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:llamacpp_token_seconds:mean_5m[1d] offset 15m) and count_over_time(wellbeing:llamacpp_token_seconds:mean_5m[1d] offset 15m) > 30)\nand wellbeing:llamacpp_token_seconds:mean_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "Each token of {{ $labels.instance }} takes {{ $value | humanizeDuration }} on average, far above its baseline",
      "description": "Each token of {{ $labels.instance }} takes {{ $value | humanizeDuration }} on average. This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/llamacpp.md#llamacppslow"
     }
    },
    {
     "alert": "LlamacppDown",
     "expr": "group without (position) (last_over_time(llamacpp:requests_processing" + t["{llamacpp}"] + "[1d])) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
     "for": "1m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.instance }} cannot be scraped",
      "description": "{{ $labels.instance }} cannot be scraped. Its other alerts have no data. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/llamacpp.md#llamacppdown"
     }
    }
   ]
  }
 ]
}
