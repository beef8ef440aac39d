function(t) {
 "groups": [
  {
   "name": "wellbeing-sglang-latency",
   "rules": [
    {
     "record": "wellbeing:sglang_time_to_first_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:time_to_first_token_seconds_bucket" + t["{sglang}"] + "[5m])))\n) >= 0\n"
    },
    {
     "record": "wellbeing:sglang_inter_token_latency_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:inter_token_latency_seconds_bucket" + t["{sglang}"] + "[5m])))\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-sglang-answers",
   "rules": [
    {
     "record": "wellbeing:sglang_answer_tokens:mean_5m",
     "expr": "(\n  sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:generation_tokens_histogram_sum" + t["{sglang}"] + "[5m])) / sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:generation_tokens_histogram_count" + t["{sglang}"] + "[5m]))\n  and sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:generation_tokens_histogram_count" + t["{sglang}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n)\n"
    }
   ]
  },
  {
   "name": "wellbeing-sglang-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, namespace, pod, joined) (\n  label_join(label_replace(sglang:num_running_reqs" + t["{sglang}"] + ", \"name\", \"$1\", \"model_name\", \"/*(.*?)/*\"), \"joined\", \"/\", \"namespace\", \"name\", \"pod\")\n  or label_join(sglang:num_running_reqs" + t["{sglang}"] + ", \"joined\", \"/\", \"namespace\", \"pod\")\n  or label_join(sglang:num_running_reqs" + t["{sglang}"] + ", \"joined\", \"/\", \"namespace\", \"job\")\n)\n",
     "labels": {
      "kind": "sglang"
     }
    },
    {
     "record": "wellbeing:engine_backlog:deriv5m",
     "expr": "sum by (" + t["cluster,"] + "job, instance) (deriv(sglang:num_queue_reqs" + t["{sglang}"] + "[5m]))\n",
     "labels": {
      "kind": "sglang"
     }
    }
   ]
  },
  {
   "name": "wellbeing-sglang",
   "rules": [
    {
     "alert": "SglangAbortRatioHigh",
     "expr": "sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:num_aborted_requests_total" + t["{sglang}"] + "[5m])) / sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:num_requests_total" + t["{sglang}"] + "[5m])) > scalar(wellbeing:threshold{name=\"abort_ratio\"})\nand sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:num_requests_total" + t["{sglang}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model_name }} are aborted",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model_name }} are aborted. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangabortratiohigh"
     }
    },
    {
     "alert": "SglangErrorRatioHigh",
     "expr": "sum by (" + t["cluster,"] + "namespace, pod, job, instance) (rate(sglang:http_responses_total{" + t["sglang,"] + "status_code=~\"5..\",endpoint!~\"/(health.*|ready|ping|metrics)\",exported_endpoint!~\"/(health.*|ready|ping|metrics)\"}[5m]))\n/ sum by (" + t["cluster,"] + "namespace, pod, job, instance) (rate(sglang:http_responses_total{" + t["sglang,"] + "endpoint!~\"/(health.*|ready|ping|metrics)\",exported_endpoint!~\"/(health.*|ready|ping|metrics)\"}[5m])) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum by (" + t["cluster,"] + "namespace, pod, job, instance) (rate(sglang:http_responses_total{" + t["sglang,"] + "endpoint!~\"/(health.*|ready|ping|metrics)\",exported_endpoint!~\"/(health.*|ready|ping|metrics)\"}[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance) last_over_time(wellbeing:engine_held[10m])\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the responses of {{ $labels.instance }} are server errors",
      "description": "{{ $value | humanizePercentage }} of the responses of {{ $labels.instance }} are server errors (5xx). Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ with $labels.pod }}{{ . }}{{ else }}{{ $labels.job }}{{ end }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangerrorratiohigh"
     }
    },
    {
     "alert": "SglangAnswersShort",
     "expr": "wellbeing:sglang_answer_tokens:mean_5m\n< scalar(wellbeing:threshold{name=\"short_answer_ratio\"}) * (quantile_over_time(0.5, wellbeing:sglang_answer_tokens:mean_5m[1d] offset 15m) and count_over_time(wellbeing:sglang_answer_tokens:mean_5m[1d] offset 15m) > 30)\nunless on (" + t["cluster,"] + "job, instance) last_over_time(wellbeing:engine_held[10m])\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "The answers of {{ $labels.model_name }} have {{ $value | humanize }} tokens on average, far below its baseline",
      "description": "The answers of {{ $labels.model_name }} have {{ $value | humanize }} tokens on average. This is far below the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglanganswersshort"
     }
    },
    {
     "alert": "SglangQueueGrows",
     "expr": "sum without (dp_rank, priority, is_streaming) (max without (tp_rank, pp_rank, moe_ep_rank) (sglang:num_queue_reqs" + t["{sglang}"] + ")) > scalar(wellbeing:threshold{name=\"requests_waiting\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value }} requests wait in the queue of {{ $labels.model_name }}",
      "description": "{{ $value }} requests wait in the queue of {{ $labels.model_name }}. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangqueuegrows"
     }
    },
    {
     "alert": "SglangQueueTimeHigh",
     "expr": "sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:queue_time_seconds_sum" + t["{sglang}"] + "[5m]))\n/ sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:queue_time_seconds_count" + t["{sglang}"] + "[5m])) > scalar(wellbeing:threshold{name=\"queue_seconds\"})\nand on (" + t["cluster,"] + "job, instance, model_name) max by (" + t["cluster,"] + "job, instance, model_name) (sglang:num_queue_reqs" + t["{sglang}"] + ") > 0\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "1m",
     "keep_firing_for": "5m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "Requests to {{ $labels.model_name }} wait {{ $value | humanizeDuration }} in its queue on average",
      "description": "Requests to {{ $labels.model_name }} wait {{ $value | humanizeDuration }} in its queue on average. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangqueuetimehigh"
     }
    },
    {
     "alert": "SglangStuck",
     "expr": "(\n  max without (dp_rank) (\n    sum without (priority, is_streaming) (max without (tp_rank, pp_rank, moe_ep_rank) (sglang:num_queue_reqs" + t["{sglang}"] + ")) > 0\n    and sum without (priority, is_streaming) (max without (tp_rank, pp_rank, moe_ep_rank) (sglang:num_running_reqs" + t["{sglang}"] + ")) == 0\n  )\n  or\n  (\n    sum without (dp_rank, priority, is_streaming) (max without (tp_rank, pp_rank, moe_ep_rank) (sglang:num_queue_reqs" + t["{sglang}"] + ")) > 0\n    and sum without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming, mode) (rate(sglang:realtime_tokens_total" + t["{sglang}"] + "[5m])) == 0\n  )\n)\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_held\n",
     "for": "2m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.model_name }} serves nothing while {{ $value }} requests wait",
      "description": "{{ $labels.model_name }} serves nothing while {{ $value }} requests wait. It may still report that it is healthy. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangstuck"
     }
    },
    {
     "alert": "SglangKvCacheExhausted",
     "expr": "max without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (sglang:token_usage" + t["{sglang}"] + ") > scalar(wellbeing:threshold{name=\"kv_cache_usage\"})\nand max without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (rate(sglang:num_retracted_requests_total" + t["{sglang}"] + "[5m])) > scalar(wellbeing:threshold{name=\"preemptions_per_second\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "The KV cache of {{ $labels.model_name }} is {{ $value | humanizePercentage }} full and requests are retracted",
      "description": "The KV cache of {{ $labels.model_name }} is {{ $value | humanizePercentage }} full and requests are retracted. Throughput falls as load grows. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangkvcacheexhausted"
     }
    },
    {
     "alert": "SglangTimeToFirstTokenHigh",
     "expr": "wellbeing:sglang_time_to_first_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:sglang_time_to_first_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:sglang_time_to_first_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:sglang_time_to_first_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"first_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "The first token of {{ $labels.model_name }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "The first token of {{ $labels.model_name }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangtimetofirsttokenhigh"
     }
    },
    {
     "alert": "SglangInterTokenLatencyHigh",
     "expr": "wellbeing:sglang_inter_token_latency_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:sglang_inter_token_latency_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:sglang_inter_token_latency_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:sglang_inter_token_latency_seconds:p95_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "Each token of {{ $labels.model_name }} takes {{ $value | humanizeDuration }} (p95), far above its baseline",
      "description": "Each token of {{ $labels.model_name }} takes {{ $value | humanizeDuration }} (p95). This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangintertokenlatencyhigh"
     }
    },
    {
     "alert": "SglangDown",
     "expr": "group without (tp_rank, pp_rank, moe_ep_rank, dp_rank, priority, is_streaming) (last_over_time(sglang:num_running_reqs" + t["{sglang}"] + "[1d])) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
     "for": "1m",
     "keep_firing_for": "1m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.model_name }} at {{ $labels.instance }} cannot be scraped",
      "description": "{{ $labels.model_name }} at {{ $labels.instance }} cannot be scraped. Its other alerts have no data. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/sglang.md#sglangdown"
     }
    }
   ]
  }
 ]
}
