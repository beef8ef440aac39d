function(t) {
 "groups": [
  {
   "name": "wellbeing-triton-latency",
   "rules": [
    {
     "record": "wellbeing:triton_first_response_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum without (version) (rate(nv_inference_first_response_histogram_ms_bucket" + t["{triton}"] + "[5m]))) / 1000\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-triton-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, model, namespace, pod, joined) (\n  label_join(label_replace(nv_inference_pending_request_count" + t["{triton}"] + ", \"name\", \"$1\", \"model\", \"/*(.*?)/*\"), \"joined\", \"/\", \"namespace\", \"name\", \"pod\")\n)\n",
     "labels": {
      "kind": "triton"
     }
    },
    {
     "record": "wellbeing:engine_backlog:deriv5m",
     "expr": "sum by (" + t["cluster,"] + "job, instance, model) (deriv(nv_inference_pending_request_count" + t["{triton}"] + "[5m]))\n",
     "labels": {
      "kind": "triton"
     }
    }
   ]
  },
  {
   "name": "wellbeing-triton",
   "rules": [
    {
     "alert": "TritonErrorRatioHigh",
     "expr": "sum without (version, reason) (rate(nv_inference_request_failure{" + t["triton,"] + "reason=~\"BACKEND|OTHER\"}[5m])) / (sum without (version, reason) (rate(nv_inference_request_failure{" + t["triton,"] + "reason=~\"BACKEND|OTHER\"}[5m])) + sum without (version) (rate(nv_inference_request_success" + t["{triton}"] + "[5m]))) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand (sum without (version, reason) (rate(nv_inference_request_failure{" + t["triton,"] + "reason=~\"BACKEND|OTHER\"}[5m])) + sum without (version) (rate(nv_inference_request_success" + t["{triton}"] + "[5m]))) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} fail",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} fail. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritonerrorratiohigh"
     }
    },
    {
     "alert": "TritonAbortRatioHigh",
     "expr": "sum without (version, reason) (rate(nv_inference_request_failure{" + t["triton,"] + "reason=\"CANCELED\"}[5m])) / (sum without (version, reason) (rate(nv_inference_request_failure" + t["{triton}"] + "[5m])) + sum without (version) (rate(nv_inference_request_success" + t["{triton}"] + "[5m]))) > scalar(wellbeing:threshold{name=\"abort_ratio\"})\nand (sum without (version, reason) (rate(nv_inference_request_failure" + t["{triton}"] + "[5m])) + sum without (version) (rate(nv_inference_request_success" + t["{triton}"] + "[5m]))) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} are canceled by their clients",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} are canceled by their clients. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritonabortratiohigh"
     }
    },
    {
     "alert": "TritonQueueGrows",
     "expr": "sum without (version) (nv_inference_pending_request_count" + t["{triton}"] + ") > scalar(wellbeing:threshold{name=\"requests_waiting\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value }} requests wait for {{ $labels.model }}",
      "description": "{{ $value }} requests wait for {{ $labels.model }}. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritonqueuegrows"
     }
    },
    {
     "alert": "TritonQueueTimeHigh",
     "expr": "sum without (version) (rate(nv_inference_queue_duration_us" + t["{triton}"] + "[5m])) / 1e6\n/ sum without (version) (rate(nv_inference_request_success" + t["{triton}"] + "[5m])) > scalar(wellbeing:threshold{name=\"queue_seconds\"})\nand sum without (version) (nv_inference_pending_request_count" + t["{triton}"] + ") > 0\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "1m",
     "keep_firing_for": "5m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "Requests to {{ $labels.model }} wait {{ $value | humanizeDuration }} in its queue on average",
      "description": "Requests to {{ $labels.model }} wait {{ $value | humanizeDuration }} in its queue on average. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritonqueuetimehigh"
     }
    },
    {
     "alert": "TritonStuck",
     "expr": "sum without (version) (nv_inference_pending_request_count" + t["{triton}"] + ") > 0\nand sum without (version) (rate(nv_inference_exec_count" + t["{triton}"] + "[5m])) == 0\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_held\n",
     "for": "2m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.model }} executes nothing while {{ $value }} requests wait",
      "description": "{{ $labels.model }} executes nothing while {{ $value }} requests wait. It may still report that it is healthy. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritonstuck"
     }
    },
    {
     "alert": "TritonDown",
     "expr": "group without (version) (last_over_time(nv_inference_pending_request_count" + t["{triton}"] + "[1d])) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
     "for": "1m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.model }} at {{ $labels.instance }} cannot be scraped",
      "description": "{{ $labels.model }} at {{ $labels.instance }} cannot be scraped. Its other alerts have no data. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritondown"
     }
    },
    {
     "alert": "TritonFirstResponseSlow",
     "expr": "wellbeing:triton_first_response_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:triton_first_response_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:triton_first_response_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:triton_first_response_seconds:p95_5m > scalar(wellbeing:threshold{name=\"first_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance, model) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "The first response of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "The first response of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/triton.md#tritonfirstresponseslow"
     }
    }
   ]
  }
 ]
}
