function(t) {
 "groups": [
  {
   "name": "wellbeing-litellm-latency",
   "rules": [
    {
     "record": "wellbeing:litellm_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum by (" + t["cluster,"] + "namespace, job, litellm_model_name, le) (rate(litellm_deployment_latency_per_output_token_bucket" + t["{litellm}"] + "[5m])))\n) >= 0\n"
    },
    {
     "record": "wellbeing:litellm_time_to_first_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum by (" + t["cluster,"] + "namespace, job, model, le) (rate(litellm_llm_api_time_to_first_token_metric_bucket" + t["{litellm}"] + "[5m])))\n) >= 0\n"
    },
    {
     "record": "wellbeing:litellm_group_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum by (" + t["cluster,"] + "namespace, job, model_group, le) (rate(litellm_deployment_latency_per_output_token_bucket{" + t["litellm,"] + "model_group!=\"\"}[5m])))\n) >= 0\n"
    },
    {
     "record": "wellbeing:litellm_group_time_to_first_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum by (" + t["cluster,"] + "namespace, job, model_group, le) (rate(litellm_llm_api_time_to_first_token_metric_bucket{" + t["litellm,"] + "model_group!=\"\"}[5m])))\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-litellm-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, litellm_model_name, namespace, pod, joined) (\n  label_join(label_replace(litellm_deployment_state" + t["{litellm}"] + ", \"name\", \"$1\", \"litellm_model_name\", \"/*(.*?)/*\"), \"joined\", \"/\", \"namespace\", \"name\")\n)\n",
     "labels": {
      "kind": "litellm"
     }
    }
   ]
  },
  {
   "name": "wellbeing-litellm",
   "rules": [
    {
     "alert": "LitellmErrorRatioHigh",
     "expr": "sum by (" + t["cluster,"] + "namespace, job, litellm_model_name) (rate(litellm_deployment_failure_responses_total" + t["{litellm}"] + "[5m])) / sum by (" + t["cluster,"] + "namespace, job, litellm_model_name) (rate(litellm_deployment_total_requests_total" + t["{litellm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum by (" + t["cluster,"] + "namespace, job, litellm_model_name) (rate(litellm_deployment_total_requests_total" + t["{litellm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "namespace, job, litellm_model_name) last_over_time(wellbeing:litellm_paused[7m])\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.litellm_model_name }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.litellm_model_name }} fail",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.litellm_model_name }} fail. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.litellm_model_name }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmerrorratiohigh"
     }
    },
    {
     "alert": "LitellmDeploymentOut",
     "expr": "min by (" + t["cluster,"] + "namespace, job, litellm_model_name) (litellm_deployment_state" + t["{litellm}"] + ") == 2\nunless on (" + t["cluster,"] + "namespace, job, litellm_model_name) last_over_time(wellbeing:litellm_paused[7m])\n",
     "for": "1m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.litellm_model_name }}"
     },
     "annotations": {
      "summary": "LiteLLM considers no deployment of {{ $labels.litellm_model_name }} healthy",
      "description": "LiteLLM considers no deployment of {{ $labels.litellm_model_name }} healthy. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.litellm_model_name }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmdeploymentout"
     }
    },
    {
     "alert": "LitellmSlow",
     "expr": "wellbeing:litellm_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:litellm_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:litellm_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:litellm_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "namespace, job, litellm_model_name) last_over_time(wellbeing:litellm_paused[15m])\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.litellm_model_name }}"
     },
     "annotations": {
      "summary": "Each token of {{ $labels.litellm_model_name }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "Each token of {{ $labels.litellm_model_name }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.litellm_model_name }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmslow"
     }
    },
    {
     "alert": "LitellmTimeToFirstTokenHigh",
     "expr": "wellbeing:litellm_time_to_first_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:litellm_time_to_first_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:litellm_time_to_first_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:litellm_time_to_first_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"first_token_seconds\"})\nunless on (" + t["cluster,"] + "namespace, job, model) label_replace(last_over_time(wellbeing:litellm_paused[15m]), \"model\", \"$1\", \"litellm_model_name\", \"(.+)\")\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model }}"
     },
     "annotations": {
      "summary": "The first token of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "The first token of {{ $labels.model }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmtimetofirsttokenhigh"
     }
    },
    {
     "alert": "LitellmGroupErrorRatioHigh",
     "expr": "sum by (" + t["cluster,"] + "namespace, job, model_group) (rate(litellm_deployment_failure_responses_total{" + t["litellm,"] + "model_group!=\"\"}[5m])) / sum by (" + t["cluster,"] + "namespace, job, model_group) (rate(litellm_deployment_total_requests_total{" + t["litellm,"] + "model_group!=\"\"}[5m])) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum by (" + t["cluster,"] + "namespace, job, model_group) (rate(litellm_deployment_total_requests_total{" + t["litellm,"] + "model_group!=\"\"}[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "namespace, job, model_group) last_over_time(wellbeing:litellm_group_paused[7m])\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_group }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to the model group {{ $labels.model_group }} fail",
      "description": "{{ $value | humanizePercentage }} of the requests to the model group {{ $labels.model_group }} fail. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_group }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmgrouperrorratiohigh"
     }
    },
    {
     "alert": "LitellmGroupSlow",
     "expr": "wellbeing:litellm_group_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:litellm_group_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:litellm_group_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:litellm_group_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "namespace, job, model_group) last_over_time(wellbeing:litellm_group_paused[15m])\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_group }}"
     },
     "annotations": {
      "summary": "Each token of the model group {{ $labels.model_group }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "Each token of the model group {{ $labels.model_group }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_group }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmgroupslow"
     }
    },
    {
     "alert": "LitellmGroupTimeToFirstTokenHigh",
     "expr": "wellbeing:litellm_group_time_to_first_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:litellm_group_time_to_first_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:litellm_group_time_to_first_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:litellm_group_time_to_first_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"first_token_seconds\"})\nunless on (" + t["cluster,"] + "namespace, job, model_group) last_over_time(wellbeing:litellm_group_paused[15m])\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_group }}"
     },
     "annotations": {
      "summary": "The first token of the model group {{ $labels.model_group }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "The first token of the model group {{ $labels.model_group }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_group }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/litellm.md#litellmgrouptimetofirsttokenhigh"
     }
    }
   ]
  }
 ]
}
