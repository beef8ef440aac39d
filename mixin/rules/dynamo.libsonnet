function(t) {
 "groups": [
  {
   "name": "wellbeing-dynamo-latency",
   "rules": [
    {
     "record": "wellbeing:dynamo_time_to_first_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, rate(dynamo_frontend_time_to_first_token_seconds_bucket" + t["{dynamo}"] + "[5m]))\n) >= 0\n"
    },
    {
     "record": "wellbeing:dynamo_inter_token_latency_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, rate(dynamo_frontend_inter_token_latency_seconds_bucket" + t["{dynamo}"] + "[5m]))\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-dynamo-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, model, namespace, pod, joined) (\n  label_join(label_replace(dynamo_frontend_queued_requests" + t["{dynamo}"] + ", \"name\", \"$1\", \"model\", \"/*(.*?)/*\"), \"joined\", \"/\", \"namespace\", \"name\")\n)\n",
     "labels": {
      "kind": "dynamo"
     }
    },
    {
     "record": "wellbeing:engine_backlog:deriv5m",
     "expr": "sum by (" + t["cluster,"] + "job, instance, model) (deriv(dynamo_frontend_queued_requests" + t["{dynamo}"] + "[5m]))\n",
     "labels": {
      "kind": "dynamo"
     }
    }
   ]
  },
  {
   "name": "wellbeing-dynamo",
   "rules": [
    {
     "alert": "DynamoErrorRatioHigh",
     "expr": "sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total{" + t["dynamo,"] + "error_type=~\"internal|unavailable|response_timeout\"}[5m])) / sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total" + t["{dynamo}"] + "[5m])) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total" + t["{dynamo}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance, model) last_over_time(wellbeing:engine_held[7m])\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} fail",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} fail: an internal error, no worker, or a worker that stopped answering. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamoerrorratiohigh"
     }
    },
    {
     "alert": "DynamoRejectRatioHigh",
     "expr": "sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total{" + t["dynamo,"] + "error_type=\"overload\"}[5m])) / sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total" + t["{dynamo}"] + "[5m])) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total" + t["{dynamo}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} are rejected for overload",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} are rejected for overload. Its workers have no room. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamorejectratiohigh"
     }
    },
    {
     "alert": "DynamoAbortRatioHigh",
     "expr": "sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total{" + t["dynamo,"] + "error_type=\"cancelled\"}[5m])) / sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total" + t["{dynamo}"] + "[5m])) > scalar(wellbeing:threshold{name=\"abort_ratio\"})\nand sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total" + t["{dynamo}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} are canceled by their clients",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} are canceled by their clients. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamoabortratiohigh"
     }
    },
    {
     "alert": "DynamoQueueGrows",
     "expr": "dynamo_frontend_queued_requests" + t["{dynamo}"] + " > scalar(wellbeing:threshold{name=\"requests_waiting\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "{{ $value }} requests wait for the first token of {{ $labels.model }}",
      "description": "{{ $value }} requests wait for the first token of {{ $labels.model }}. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamoqueuegrows"
     }
    },
    {
     "alert": "DynamoStuck",
     "expr": "dynamo_frontend_queued_requests" + t["{dynamo}"] + " > 0\nand rate(dynamo_frontend_output_tokens_total" + t["{dynamo}"] + "[5m]) == 0\nunless sum without (endpoint, request_type, status, error_type) (rate(dynamo_frontend_requests_total{" + t["dynamo,"] + "status=\"success\"}[5m])) > 0\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_held\n",
     "for": "2m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "{{ $labels.model }} serves nothing while {{ $value }} requests wait",
      "description": "{{ $labels.model }} serves nothing while {{ $value }} requests wait. Its workers may still report that they are healthy. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamostuck"
     }
    },
    {
     "alert": "DynamoModelNotReady",
     "expr": "dynamo_frontend_model_ready" + t["{dynamo}"] + " == 0\n",
     "for": "1m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "{{ $labels.model }} has no worker that can serve a request",
      "description": "{{ $labels.model }} has no worker that can serve a request. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamomodelnotready"
     }
    },
    {
     "alert": "DynamoDown",
     "expr": "last_over_time(dynamo_frontend_queued_requests" + t["{dynamo}"] + "[1d]) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
     "for": "1m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "The frontend {{ $labels.instance }} of {{ $labels.model }} cannot be scraped",
      "description": "The frontend {{ $labels.instance }} of {{ $labels.model }} cannot be scraped. Its other alerts have no data. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamodown"
     }
    },
    {
     "alert": "DynamoTimeToFirstTokenHigh",
     "expr": "wellbeing:dynamo_time_to_first_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:dynamo_time_to_first_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:dynamo_time_to_first_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:dynamo_time_to_first_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"first_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "The first token of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "The first token of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamotimetofirsttokenhigh"
     }
    },
    {
     "alert": "DynamoInterTokenLatencyHigh",
     "expr": "wellbeing:dynamo_inter_token_latency_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:dynamo_inter_token_latency_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:dynamo_inter_token_latency_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:dynamo_inter_token_latency_seconds:p95_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "Each token of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "Each token of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/dynamo.md#dynamointertokenlatencyhigh"
     }
    }
   ]
  }
 ]
}
