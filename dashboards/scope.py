"""The dashboard of one scope, with the metrics of its engine."""

from __future__ import annotations

from dataclasses import replace

from .panels import (
    FIRING,
    GATE,
    SIDECAR_VARIABLES,
    STATES,
    Board,
    Panel,
    Row,
    advice,
    interventions,
    line,
    pause_table,
    timeline,
    value,
)
from .queries import RECORDED, SCOPES, increase, quantile, rate

V = 'model_name=~"$model"'
D = 'model=~"$dynamo_model"'
LEVEL = f"max(wellbeing_state_level{{{SCOPES}}})"
CLOSED = f"max(wellbeing_paused{{{SCOPES}}})"

_NAMED = "max by (scope) (wellbeing_state_level)"
for _label, _root in (("text", "(root)"), ("value", "()")):
    _NAMED = f'label_replace({_NAMED}, "{_label}", "$1", "scope", "(.+)")'
    _NAMED = f'label_replace({_NAMED}, "{_label}", "{_root}", "scope", "")'

_QUEUE_TIME = "vllm:request_queue_time_seconds"
_DYNAMO_REQUESTS = f"dynamo_frontend_requests_total{{{D}}}"

SCOPE = Board(
    uid="wellbeing-scope",
    title="Wellbeing / Scope",
    description="One scope: its state, its signals, its pauses, what happened to its requests, and its engine.",
    variables=(
        *SIDECAR_VARIABLES,
        ("scope", "Scope", f"query_result({_NAMED})", False),
        ("model", "Model", "label_values(vllm:num_requests_running, model_name)", True),
        ("dynamo_model", "Dynamo model", "label_values(dynamo_frontend_queued_requests, model)", True),
    ),
    annotations=(("Pauses", "red", f"{CLOSED} > 0"), interventions(SCOPES)),
    parts=(
        value(
            "State",
            "The effective state: the worst of the scope's own state and its ancestors' states.",
            LEVEL,
            words=STATES,
        ),
        value("Gate", "While the gate is closed, requests wait.", CLOSED, words=GATE),
        value(
            "Closed for",
            "How long the gate has been closed; 0 if it is open.",
            f"max(wellbeing_current_pause_duration_seconds{{{SCOPES}}})",
            "s",
            thresholds=((None, "green"), (1, "yellow"), (600, "red")),
        ),
        value("Waiting", "Requests that wait now.", f"sum(wellbeing_waiters{{{SCOPES}}})"),
        value(
            "Paused, last hour",
            "The share of the last hour for which the scope was paused.",
            f"max(wellbeing:paused:ratio_rate1h{{{RECORDED}}})",
            "percentunit",
            thresholds=((None, "green"), (0.01, "yellow"), (0.1, "red")),
        ),
        value(
            "Pauses, last day",
            "How often the scope was paused.",
            f"sum({increase(f'wellbeing_pauses_total{{{SCOPES}}}', 'scope, cause', '1d')})",
        ),
        timeline("State over time", "The effective state.", LEVEL, "state", words=STATES, height=4),
        timeline(
            "Gate over time", "While the gate is closed, requests wait.", CLOSED, "gate", words=GATE, height=4
        ),
        timeline(
            "Alerts over time",
            "Firing alerts in Prometheus with this scope in their label wellbeing_scope.",
            'max by (alertname) (ALERTS{alertstate="firing",wellbeing_scope=~"$scope"}) or on () vector(0)',
            "{{alertname}}",
            words=FIRING,
            height=5,
        ),
        pause_table("Paused by", SCOPES, with_scope=False, width=24, height=5),
        Panel(
            "Requests",
            "Requests by outcome. A blocked request waited, timed out, was abandoned or was rejected, or it still waits.",
            tuple(
                (
                    rate(f"wellbeing_requests{name}_total{{{SCOPES}}}"),
                    name.strip("_").replace("_", " ") or "all",
                )
                for name in ("", "_blocked", "_waited", "_timed_out", "_abandoned", "_rejected")
            ),
            unit="reqps",
        ),
        line(
            "Admitted at a rate",
            "Requests per second that a restriction or a resume ramp admits.",
            f"min(wellbeing_admit_per_second{{{SCOPES}}})",
            "per second",
            "reqps",
        ),
        line(
            "Outcomes",
            "Outcomes of admitted requests, as clients and middlewares reported them. Failed: a 5xx or an exception.",
            f"sum by (outcome) (rate(wellbeing_admitted_total{{{SCOPES}}}[$__rate_interval]))",
            "{{outcome}}",
            "reqps",
        ),
        line(
            "Starved priorities",
            "How long requests of a priority have waited while only requests of higher priorities passed.",
            f"max by (priority) (wellbeing_priority_starved_seconds{{{SCOPES}}})",
            "priority {{priority}}",
            "s",
        ),
        line("Waiting over time", "Requests that wait.", f"sum(wellbeing_waiters{{{SCOPES}}})", "waiting"),
        Panel(
            "Waits, all scopes",
            "How long requests waited, counted when the wait ended.",
            (("sum by (le) (increase(wellbeing_gate_wait_seconds_bucket[$__rate_interval]))", "{{le}}"),),
            "heatmap",
            "s",
        ),
        Panel(
            "Pauses and resumes",
            "In the last 15 minutes, by cause.",
            tuple(
                (increase(f"wellbeing_{what}_total{{{SCOPES}}}", "cause", "15m"), f"{what}: {{{{cause}}}}")
                for what in ("pauses", "resumes")
            ),
        ),
        replace(
            line(
                "Signals",
                "Current signals of this scope itself, by kind of source and by state.",
                f"max by (source, state) (wellbeing_signals{{{SCOPES}}})",
                "{{source}} {{state}}",
            ),
            stack=True,
        ),
        replace(
            line(
                "Engines in sync",
                "1 while the engine's own switch agrees with the gate, else 0.",
                f"min by (engine) (wellbeing_engine_in_sync{{{SCOPES}}})",
                "{{engine}}",
            ),
            bound=1,
        ),
        replace(
            Panel(
                "Engines paused, engines asleep",
                "1 while the engine's own pause is on; no data while its state is unknown. `asleep`: the sidecar has put it to sleep because the pause was long, and its GPU memory is free.",
                (
                    (f"max by (engine) (wellbeing_engine_paused{{{SCOPES}}})", "paused {{engine}}"),
                    (f"max by (engine) (wellbeing_engine_asleep{{{SCOPES}}})", "asleep {{engine}}"),
                ),
            ),
            bound=1,
        ),
        *advice(SCOPES),
        Row("The engine: vLLM"),
        Panel(
            "Requests in the engine",
            "Requests in the running batch, and in the engine's own queue.",
            tuple(
                (f"sum by (model_name) (vllm:num_requests_{what}{{{V}}})", f"{what} {{{{model_name}}}}")
                for what in ("running", "waiting")
            ),
        ),
        Panel(
            "Tokens per second",
            "Prompt tokens and generated tokens.",
            tuple(
                (rate(f"vllm:{what}_tokens_total{{{V}}}", "model_name"), f"{what} {{{{model_name}}}}")
                for what in ("prompt", "generation")
            ),
        ),
        replace(
            line(
                "KV cache",
                "The share of the KV cache that is in use.",
                f"max by (model_name) (vllm:kv_cache_usage_perc{{{V}}})",
                "{{model_name}}",
                "percentunit",
            ),
            bound=1,
            thresholds=((None, "green"), (0.9, "yellow"), (0.98, "red")),
        ),
        replace(
            line(
                "Finished requests",
                "By the reason for which they ended; `error` and `repetition` are faults.",
                rate(f"vllm:request_success_total{{{V}}}", "finished_reason"),
                "{{finished_reason}}",
                "reqps",
            ),
            stack=True,
        ),
        line(
            "Time to first token",
            "95th percentile.",
            quantile(0.95, f"vllm:time_to_first_token_seconds_bucket{{{V}}}", "model_name"),
            "{{model_name}}",
            "s",
        ),
        line(
            "Time in the engine's queue",
            "Mean.",
            f"{rate(f'{_QUEUE_TIME}_sum{{{V}}}', 'model_name')} / {rate(f'{_QUEUE_TIME}_count{{{V}}}', 'model_name')}",
            "{{model_name}}",
            "s",
        ),
        Row("The engine: NVIDIA Dynamo"),
        Panel(
            "Requests in Dynamo",
            "Requests that wait for their first token, and requests that the frontend handles.",
            tuple(
                (f"sum by (model) (dynamo_frontend_{what}_requests{{{D}}})", f"{what} {{{{model}}}}")
                for what in ("queued", "active")
            ),
        ),
        line(
            "Tokens per second from Dynamo",
            "Generated tokens.",
            rate(f"dynamo_frontend_output_tokens_total{{{D}}}", "model"),
            "{{model}}",
        ),
        replace(
            line(
                "Finished requests of Dynamo",
                "By status and type of error. `overload`: rejected because no worker has room; `cancelled`: the client left.",
                rate(_DYNAMO_REQUESTS, "status, error_type"),
                "{{status}} {{error_type}}",
                "reqps",
            ),
            stack=True,
        ),
        replace(
            line(
                "Models that are ready",
                "1 while a worker can serve a request for the model, else 0.",
                f"min by (model) (dynamo_frontend_model_ready{{{D}}})",
                "{{model}}",
            ),
            bound=1,
        ),
        *(
            line(
                title,
                "95th percentile.",
                quantile(0.95, f"dynamo_frontend_{name}_seconds_bucket{{{D}}}", "model"),
                "{{model}}",
                "s",
            )
            for title, name in (
                ("Time to first token from Dynamo", "time_to_first_token"),
                ("Time between tokens from Dynamo", "inter_token_latency"),
            )
        ),
    ),
)
