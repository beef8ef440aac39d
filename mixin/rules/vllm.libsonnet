function(t) {
 "groups": [
  {
   "name": "wellbeing-vllm-latency",
   "rules": [
    {
     "record": "wellbeing:vllm_time_to_first_token_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum without (engine) (rate(vllm:time_to_first_token_seconds_bucket" + t["{vllm}"] + "[5m])))\n) >= 0\n"
    },
    {
     "record": "wellbeing:vllm_inter_token_latency_seconds:p95_5m",
     "expr": "(\n  histogram_quantile(0.95, sum without (engine) (rate(vllm:inter_token_latency_seconds_bucket" + t["{vllm}"] + "[5m])))\n) >= 0\n"
    }
   ]
  },
  {
   "name": "wellbeing-vllm-answers",
   "rules": [
    {
     "record": "wellbeing:vllm_answers_cut:ratio_rate5m",
     "expr": "(\n  sum without (engine, finished_reason) (rate(vllm:request_success_total{" + t["vllm,"] + "finished_reason=\"length\"}[5m])) / sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m]))\n  and sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n)\n"
    },
    {
     "record": "wellbeing:vllm_answers_empty:ratio_rate5m",
     "expr": "(\n  sum without (engine, le) (rate(vllm:request_generation_tokens_bucket{" + t["vllm,"] + "le=~\"1|1.0\"}[5m])) / sum without (engine) (rate(vllm:request_generation_tokens_count" + t["{vllm}"] + "[5m]))\n  and sum without (engine) (rate(vllm:request_generation_tokens_count" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n)\n"
    }
   ]
  },
  {
   "name": "wellbeing-vllm-engine",
   "rules": [
    {
     "record": "wellbeing:engine_info",
     "expr": "group by (" + t["cluster,"] + "job, instance, namespace, pod, joined) (\n  label_join(label_replace(vllm:num_requests_running" + t["{vllm}"] + ", \"name\", \"$1\", \"model_name\", \"/*(.*?)/*\"), \"joined\", \"/\", \"namespace\", \"name\", \"pod\")\n)\n",
     "labels": {
      "kind": "vllm"
     }
    },
    {
     "record": "wellbeing:engine_backlog:deriv5m",
     "expr": "sum by (" + t["cluster,"] + "job, instance) (deriv(vllm:num_requests_waiting" + t["{vllm}"] + "[5m]))\n",
     "labels": {
      "kind": "vllm"
     }
    }
   ]
  },
  {
   "name": "wellbeing-vllm",
   "rules": [
    {
     "alert": "VllmErrorRatioHigh",
     "expr": "sum without (engine, finished_reason) (rate(vllm:request_success_total{" + t["vllm,"] + "finished_reason=\"error\"}[5m])) / sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"error_ratio\"})\nand sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n",
     "for": "2m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model_name }} end in an error",
      "description": "{{ $value | humanizePercentage }} of the requests to {{ $labels.model_name }} end in an error. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmerrorratiohigh"
     }
    },
    {
     "alert": "VllmAbortRatioHigh",
     "expr": "sum without (engine, finished_reason) (rate(vllm:request_success_total{" + t["vllm,"] + "finished_reason=\"abort\"}[5m])) / sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"abort_ratio\"})\nand sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmabortratiohigh"
     }
    },
    {
     "alert": "VllmRepetition",
     "expr": "sum without (engine, finished_reason) (rate(vllm:request_success_total{" + t["vllm,"] + "finished_reason=\"repetition\"}[5m])) / sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"repetition_ratio\"})\nand sum without (engine, finished_reason) (rate(vllm:request_success_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"traffic_floor\"})\n",
     "for": "2m",
     "keep_firing_for": "5m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the answers of {{ $labels.model_name }} end in repetition",
      "description": "{{ $value | humanizePercentage }} of the answers of {{ $labels.model_name }} end in repetition. The model repeats itself until it is stopped. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmrepetition"
     }
    },
    {
     "alert": "VllmCorruptedRequests",
     "expr": "sum without (engine) (increase(vllm:corrupted_requests_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"corrupted_requests\"})\n",
     "keep_firing_for": "5m",
     "labels": {
      "severity": "critical",
      "wellbeing": "distressed",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $labels.model_name }} computed NaN logits for {{ $value | humanize }} requests in 5 minutes",
      "description": "{{ $labels.model_name }} computed NaN logits for {{ $value | humanize }} requests in 5 minutes. Its answers are wrong. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmcorruptedrequests"
     }
    },
    {
     "alert": "VllmAnswersCut",
     "expr": "wellbeing:vllm_answers_cut:ratio_rate5m\n> scalar(wellbeing:threshold{name=\"answer_share_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:vllm_answers_cut:ratio_rate5m[1d] offset 15m) and count_over_time(wellbeing:vllm_answers_cut:ratio_rate5m[1d] offset 15m) > 30)\nand wellbeing:vllm_answers_cut:ratio_rate5m > scalar(wellbeing:threshold{name=\"cut_ratio\"})\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the answers of {{ $labels.model_name }} are cut off at their maximum length, far above its baseline",
      "description": "{{ $value | humanizePercentage }} of the answers of {{ $labels.model_name }} are cut off at their maximum length. This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmanswerscut"
     }
    },
    {
     "alert": "VllmAnswersEmpty",
     "expr": "wellbeing:vllm_answers_empty:ratio_rate5m\n> scalar(wellbeing:threshold{name=\"answer_share_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:vllm_answers_empty:ratio_rate5m[1d] offset 15m) and count_over_time(wellbeing:vllm_answers_empty:ratio_rate5m[1d] offset 15m) > 30)\nand wellbeing:vllm_answers_empty:ratio_rate5m > scalar(wellbeing:threshold{name=\"empty_ratio\"})\nunless on (" + t["cluster,"] + "job, instance) last_over_time(wellbeing:engine_held[10m])\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "{{ $value | humanizePercentage }} of the answers of {{ $labels.model_name }} have at most one token, far above its baseline",
      "description": "{{ $value | humanizePercentage }} of the answers of {{ $labels.model_name }} have at most one token. This is far above the median of its last day. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmanswersempty"
     }
    },
    {
     "alert": "VllmQueueGrows",
     "expr": "sum without (engine) (vllm:num_requests_waiting" + t["{vllm}"] + ") > scalar(wellbeing:threshold{name=\"requests_waiting\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmqueuegrows"
     }
    },
    {
     "alert": "VllmQueueTimeHigh",
     "expr": "sum without (engine) (rate(vllm:request_queue_time_seconds_sum" + t["{vllm}"] + "[5m]))\n/ sum without (engine) (rate(vllm:request_queue_time_seconds_count" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"queue_seconds\"})\nand sum without (engine) (vllm:num_requests_waiting" + t["{vllm}"] + ") > 0\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmqueuetimehigh"
     }
    },
    {
     "alert": "VllmStuck",
     "expr": "(\n  max without (engine) (vllm:num_requests_waiting" + t["{vllm}"] + " > 0 and vllm:num_requests_running" + t["{vllm}"] + " == 0)\n  or\n  (\n    sum without (engine) (vllm:num_requests_waiting" + t["{vllm}"] + ") > 0\n    and sum without (engine) (rate(vllm:generation_tokens_total" + t["{vllm}"] + "[5m])) == 0\n    and sum without (engine) (rate(vllm:prompt_tokens_total" + t["{vllm}"] + "[5m])) == 0\n  )\n)\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_held\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmstuck"
     }
    },
    {
     "alert": "VllmKvCacheExhausted",
     "expr": "max without (engine) (vllm:kv_cache_usage_perc" + t["{vllm}"] + ") > scalar(wellbeing:threshold{name=\"kv_cache_usage\"})\nand sum without (engine) (rate(vllm:num_preemptions_total" + t["{vllm}"] + "[5m])) > scalar(wellbeing:threshold{name=\"preemptions_per_second\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
     "for": "5m",
     "keep_firing_for": "2m",
     "labels": {
      "severity": "warning",
      "wellbeing": "concerned",
      "wellbeing_scope": "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ reReplaceAll \"^/+|/+$\" \"\" $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}"
     },
     "annotations": {
      "summary": "The KV cache of {{ $labels.model_name }} is {{ $value | humanizePercentage }} full and requests are preempted",
      "description": "The KV cache of {{ $labels.model_name }} is {{ $value | humanizePercentage }} full and requests are preempted. Throughput falls as load grows. Scope {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.model_name }}{{ with $labels.pod }}/{{ . }}{{ end }}, instance {{ $labels.instance }}.",
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmkvcacheexhausted"
     }
    },
    {
     "alert": "VllmTimeToFirstTokenHigh",
     "expr": "wellbeing:vllm_time_to_first_token_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:vllm_time_to_first_token_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:vllm_time_to_first_token_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:vllm_time_to_first_token_seconds:p95_5m > scalar(wellbeing:threshold{name=\"first_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmtimetofirsttokenhigh"
     }
    },
    {
     "alert": "VllmInterTokenLatencyHigh",
     "expr": "wellbeing:vllm_inter_token_latency_seconds:p95_5m\n> scalar(wellbeing:threshold{name=\"latency_times_baseline\"}) * (quantile_over_time(0.5, wellbeing:vllm_inter_token_latency_seconds:p95_5m[1d] offset 15m) and count_over_time(wellbeing:vllm_inter_token_latency_seconds:p95_5m[1d] offset 15m) > 30)\nand wellbeing:vllm_inter_token_latency_seconds:p95_5m > scalar(wellbeing:threshold{name=\"inter_token_seconds\"})\nunless on (" + t["cluster,"] + "job, instance) wellbeing:engine_settles\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmintertokenlatencyhigh"
     }
    },
    {
     "alert": "VllmDown",
     "expr": "group without (engine) (last_over_time(vllm:num_requests_running" + t["{vllm}"] + "[1d])) and on (" + t["cluster,"] + "job, instance) (up == 0)\n",
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
      "runbook_url": "" + t["runbooks"] + "docs/runbooks/vllm.md#vllmdown"
     }
    }
   ]
  }
 ]
}
