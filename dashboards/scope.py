"""One scope's story, with the engine's own metrics beside it."""

from __future__ import annotations

from .panels import GATE, STATES, Board, Panel, Row, first_counted

S = 'scope=~"$scope"'
V = 'model_name=~"$model"'

_NAMED = "max by (scope) (wellbeing_state_level)"
for _label, _root in (("text", "(root)"), ("value", "()")):
    _NAMED = f'label_replace({_NAMED}, "{_label}", "$1", "scope", "(.+)")'
    _NAMED = f'label_replace({_NAMED}, "{_label}", "{_root}", "scope", "")'

SCOPE = Board(
    uid="wellbeing-scope",
    title="Wellbeing / Scope",
    description="One scope: its state, its signals, its pauses, what became of requests, and the engine beside it.",
    variables=(
        ("scope", "Scope", f"query_result({_NAMED})", False),
        ("model", "Model", "label_values(vllm:num_requests_running, model_name)", True),
    ),
    annotations=(
        ("Pauses", "red", f"max(wellbeing_paused{{{S}}}) > 0"),
        (
            "Interventions",
            "orange",
            first_counted(f"wellbeing_interventions_total{{{S}}}", "scope", "1m") + " > 0",
        ),
    ),
    parts=(
        Panel(
            "State",
            "The effective state: the worst of the scope's own and its ancestors'.",
            ((f"max(wellbeing_state_level{{{S}}})", ""),),
            "stat",
            width=4,
            height=4,
            words=STATES,
        ),
        Panel(
            "Gate",
            "Whether requests wait.",
            ((f"max(wellbeing_paused{{{S}}})", ""),),
            "stat",
            width=4,
            height=4,
            words=GATE,
        ),
        Panel(
            "Closed for",
            "0: it is open.",
            ((f"max(wellbeing_current_pause_duration_seconds{{{S}}})", ""),),
            "stat",
            "s",
            width=4,
            height=4,
            thresholds=((None, "green"), (1, "yellow"), (600, "red")),
        ),
        Panel(
            "Waiting",
            "Requests that wait now.",
            ((f"sum(wellbeing_waiters{{{S}}})", ""),),
            "stat",
            width=4,
            height=4,
        ),
        Panel(
            "Paused, last hour",
            "Share of the last hour that it was paused.",
            ((f"max(wellbeing:paused:ratio_rate1h{{{S}}})", ""),),
            "stat",
            "percentunit",
            width=4,
            height=4,
            thresholds=((None, "green"), (0.01, "yellow"), (0.1, "red")),
        ),
        Panel(
            "Pauses, last day",
            "How often it was paused.",
            (("sum(" + first_counted(f"wellbeing_pauses_total{{{S}}}", "scope, cause", "1d") + ")", ""),),
            "stat",
            width=4,
            height=4,
        ),
        Panel(
            "State",
            "Over time.",
            ((f"max(wellbeing_state_level{{{S}}})", "state"),),
            "timeline",
            width=24,
            height=4,
            words=STATES,
        ),
        Panel(
            "Gate",
            "Over time.",
            ((f"max(wellbeing_paused{{{S}}})", "gate"),),
            "timeline",
            width=24,
            height=4,
            words=GATE,
        ),
        Panel(
            "Paused by",
            "Whose hold closes the gate, of what kind, by what, why, and how long until it ends by itself (0: it does not).",
            (
                (
                    (
                        f"max by (held_by, kind, source, reason) (wellbeing_pause_info{{{S}}})"
                        f" * on () group_left () clamp_min(max(wellbeing_pause_until_timestamp_seconds{{{S}}}) - time(), 0)"
                    ),
                    "",
                ),
            ),
            "table",
            "s",
            columns={
                "held_by": "held by",
                "kind": "kind",
                "source": "by",
                "reason": "why",
                "Value": "ends in",
            },
            width=24,
            height=5,
        ),
        Panel(
            "Requests",
            "What became of them. Blocked are waited, timed out, abandoned, rejected, and those that wait now.",
            (
                (f"sum(rate(wellbeing_requests_total{{{S}}}[$__rate_interval]))", "all"),
                (f"sum(rate(wellbeing_requests_blocked_total{{{S}}}[$__rate_interval]))", "blocked"),
                (f"sum(rate(wellbeing_requests_waited_total{{{S}}}[$__rate_interval]))", "waited"),
                (f"sum(rate(wellbeing_requests_timed_out_total{{{S}}}[$__rate_interval]))", "timed out"),
                (f"sum(rate(wellbeing_requests_abandoned_total{{{S}}}[$__rate_interval]))", "abandoned"),
                (f"sum(rate(wellbeing_requests_rejected_total{{{S}}}[$__rate_interval]))", "rejected"),
            ),
            unit="reqps",
        ),
        Panel("Waiting", "Requests that wait.", ((f"sum(wellbeing_waiters{{{S}}})", "waiting"),)),
        Panel(
            "Waits, all scopes",
            "How long finished waits took.",
            (("sum by (le) (increase(wellbeing_gate_wait_seconds_bucket[$__rate_interval]))", "{{le}}"),),
            "heatmap",
            "s",
        ),
        Panel(
            "Pauses and resumes",
            "By cause.",
            (
                (first_counted(f"wellbeing_pauses_total{{{S}}}", "cause", "15m"), "paused: {{cause}}"),
                (first_counted(f"wellbeing_resumes_total{{{S}}}", "cause", "15m"), "resumed: {{cause}}"),
            ),
        ),
        Panel(
            "Signals",
            "What is claimed of this scope itself.",
            ((f"max by (source, state) (wellbeing_signals{{{S}}})", "{{source}} {{state}}"),),
            stack=True,
        ),
        Panel(
            "Engines in sync",
            "Whether an engine's own switch is as the gate is.",
            ((f"min by (engine) (wellbeing_engine_in_sync{{{S}}})", "{{engine}}"),),
            bound=1,
        ),
        Row("The engine: vLLM"),
        Panel(
            "Requests in the engine",
            "Running in the batch, and waiting in the engine's own queue.",
            (
                (f"sum by (model_name) (vllm:num_requests_running{{{V}}})", "running {{model_name}}"),
                (f"sum by (model_name) (vllm:num_requests_waiting{{{V}}})", "waiting {{model_name}}"),
            ),
        ),
        Panel(
            "Tokens",
            "Prompt tokens read and tokens generated.",
            (
                (
                    f"sum by (model_name) (rate(vllm:prompt_tokens_total{{{V}}}[$__rate_interval]))",
                    "prompt {{model_name}}",
                ),
                (
                    f"sum by (model_name) (rate(vllm:generation_tokens_total{{{V}}}[$__rate_interval]))",
                    "generated {{model_name}}",
                ),
            ),
        ),
        Panel(
            "KV cache",
            "Share in use.",
            ((f"max by (model_name) (vllm:kv_cache_usage_perc{{{V}}})", "{{model_name}}"),),
            unit="percentunit",
            bound=1,
            thresholds=((None, "green"), (0.9, "yellow"), (0.98, "red")),
        ),
        Panel(
            "How answers end",
            "By reason: error and repetition are not well.",
            (
                (
                    f"sum by (finished_reason) (rate(vllm:request_success_total{{{V}}}[$__rate_interval]))",
                    "{{finished_reason}}",
                ),
            ),
            unit="reqps",
            stack=True,
        ),
        Panel(
            "Time to first token",
            "95th percentile.",
            (
                (
                    f"histogram_quantile(0.95, sum by (model_name, le) (rate(vllm:time_to_first_token_seconds_bucket{{{V}}}[$__rate_interval])))",
                    "{{model_name}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Time in the engine's queue",
            "Mean.",
            (
                (
                    f"sum by (model_name) (rate(vllm:request_queue_time_seconds_sum{{{V}}}[$__rate_interval])) / sum by (model_name) (rate(vllm:request_queue_time_seconds_count{{{V}}}[$__rate_interval]))",
                    "{{model_name}}",
                ),
            ),
            unit="s",
        ),
    ),
)
