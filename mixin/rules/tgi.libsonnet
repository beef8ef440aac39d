function(t) {
 "groups": [
  {
   "name": "wellbeing-tgi-latency",
   "rules": [
    {
     "record": "wellbeing:tgi_time_per_token_seconds:mean_5m",
     "expr": "(\n  rate(tgi_request_mean_time_per_token_duration_sum" + t["{tgi}"] + "[5m]) / rate(tgi_request_mean_time_per_token_duration_count" + t["{tgi}"] + "[5m])\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-tgi-answers",
   "rules": [
    {
     "record": "wellbeing:tgi_answer_tokens:mean_5m",
     "expr": "(\n  rate(tgi_request_generated_tokens_sum" + t["{tgi}"] + "[5m]) / rate(tgi_request_generated_tokens_count" + t["{tgi}"] + "[5m])\n  and rate(tgi_request_generated_tokens_count" + t["{tgi}"] + "[5m]) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n)\n"
    }
   ]
  },
  {
   "name": "wellbeing-tgi-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, namespace, pod, joined) (\n  label_join(tgi_queue_size" + t["{tgi}"] + ", \"joined\", \"/\", \"namespace\", \"pod\")\n  or label_join(tgi_queue_size" + t["{tgi}"] + ", \"joined\", \"/\", \"namespace\", \"job\")\n)\n",
     "labels": {
      "kind": "tgi"
     }
    },
    {
     "record": "wellbeing:engine_backlog:deriv5m",
     "expr": "sum by (" + t["cluster,"] + "job, instance) (deriv(tgi_queue_size" + t["{tgi}"] + "[5m]))\n",
     "labels": {
      "kind": "tgi"
     }
    }
   ]
  },
  {
   "name": "wellbeing-tgi",
   "rules": [
    {
     "alert": "TgiErrorRatioHigh",
     "expr": "sum without (err) (rate(tgi_request_failure{" + t["tgi,"] + "err=~\"overloaded|generation|incomplete\"}[5m])) / rate(tgi_request_count" + t["{tgi}"] + "[5m]) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand rate(tgi_request_count" + t["{tgi}"] + "[5m]) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} fail",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} fail. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgierrorratiohigh"
     }
    },
    {
     "alert": "TgiAbortRatioHigh",
     "expr": "sum without (err) (rate(tgi_request_failure{" + t["tgi,"] + "err=\"dropped\"}[5m])) / rate(tgi_request_count" + t["{tgi}"] + "[5m]) > scalar(wellbeing:threshold{name=\"abort_ratio\"})\nand rate(tgi_request_count" + t["{tgi}"] + "[5m]) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} are abandoned by their clients",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} are abandoned by their clients. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgiabortratiohigh"
     }
    },
    {
     "alert": "TgiAnswersShort",
     "expr": "wellbeing:tgi_answer_tokens:mean_5m\n< scalar(wellbeing:threshold{name=\"short_answer_ratio\"}) * (quantile_over_time(0.5, wellbeing:tgi_answer_tokens:mean_5m[1d] offset 15m) and count_over_time(wellbeing:tgi_answer_tokens:mean_5m[1d] offset 15m) > 30)\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "The answers of {{ $labels.instance }} have {{ $value | humanize }} tokens on average, far below its baseline",
      "description": "The answers of {{ $labels.instance }} have {{ $value | humanize }} tokens on average. This is far below the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgianswersshort"
     }
    },
    {
     "alert": "TgiQueueGrows",
     "expr": "tgi_queue_size" + t["{tgi}"] + " > scalar(wellbeing:threshold{name=\"requests_waiting\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value }} requests wait in the queue of {{ $labels.instance }}",
      "description": "{{ $value }} requests wait in the queue of {{ $labels.instance }}. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgiqueuegrows"
     }
    },
    {
     "alert": "TgiQueueTimeHigh",
     "expr": "rate(tgi_request_queue_duration_sum" + t["{tgi}"] + "[5m]) / rate(tgi_request_queue_duration_count" + t["{tgi}"] + "[5m]) > scalar(wellbeing:threshold{name=\"queue_seconds\"})\nand tgi_queue_size" + t["{tgi}"] + " > 0\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "1m",
     "keep_firing_for": "5m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "Requests to {{ $labels.instance }} wait {{ $value | humanizeDuration }} in its queue on average",
      "description": "Requests to {{ $labels.instance }} wait {{ $value | humanizeDuration }} in its queue on average. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgiqueuetimehigh"
     }
    },
    {
     "alert": "TgiStuck",
     "expr": "tgi_queue_size" + t["{tgi}"] + " > 0\nand (sum without (method) (rate(tgi_batch_inference_success" + t["{tgi}"] + "[5m])) == 0 or tgi_batch_current_size" + t["{tgi}"] + " == 0)\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_held\n",
     "for": "2m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.instance }} serves nothing while {{ $value }} requests wait",
      "description": "{{ $labels.instance }} serves nothing while {{ $value }} requests wait. It may still report that it is healthy. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgistuck"
     }
    },
    {
     "alert": "TgiTimePerTokenHigh",
     "expr": "wellbeing:tgi_time_per_token_seconds:mean_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:tgi_time_per_token_seconds:mean_5m[1d] offset 15m) and count_over_time(wellbeing:tgi_time_per_token_seconds:mean_5m[1d] offset 15m) > 30)\nand wellbeing:tgi_time_per_token_seconds:mean_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgitimepertokenhigh"
     }
    },
    {
     "alert": "TgiDown",
     "expr": "group without (err) (last_over_time(tgi_queue_size" + t["{tgi}"] + "[1d])) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/tgi.md#tgidown"
     }
    }
   ]
  }
 ]
}
