"""The dashboard of all scopes: their states now and over time, the worst first."""

from __future__ import annotations

from dataclasses import replace

from .panels import (
    GATE,
    SIDECAR_VARIABLES,
    STATES,
    YES,
    Board,
    Panel,
    Row,
    advice,
    interventions,
    line,
    pause_table,
    timeline,
    top_scopes,
    value,
)
from .queries import RECORDED, SCOPES, increase, named

LEVEL = f"max by (scope) (wellbeing_state_level{{{SCOPES}}})"
CLOSED = f"max by (scope) (wellbeing_paused{{{SCOPES}}})"

FLEET = Board(
    uid="wellbeing-fleet",
    title="Wellbeing / Fleet",
    description="The state of all scopes: which are paused, why and until when, and how much time the pauses take.",
    variables=(
        *SIDECAR_VARIABLES,
        ("scope", "Scope", "label_values(wellbeing_state_level, scope)", True),
    ),
    annotations=(("Pauses", "red", f"{CLOSED} > 0"), interventions(SCOPES)),
    parts=(
        Row("Now"),
        value("Scopes", "The number of known scopes.", f"count({LEVEL})"),
        value(
            "Not healthy",
            "Scopes whose effective state is worse than healthy.",
            f"count({LEVEL} > 0) or vector(0)",
            thresholds=((None, "green"), (1, "orange")),
        ),
        value(
            "Paused",
            "Scopes whose gate is closed.",
            f"sum({CLOSED})",
            thresholds=((None, "green"), (1, "red")),
        ),
        value(
            "Waiting",
            "Requests that wait at closed gates.",
            f"sum(wellbeing_waiters{{{SCOPES}}})",
            thresholds=((None, "green"), (1, "yellow"), (1000, "red")),
        ),
        value(
            "Blind",
            "Whether a sidecar is missing its watchdog alert. While it is, a resolved alert lifts no pause.",
            "max(wellbeing_blind)",
            words=YES,
        ),
        value(
            "Longest pause",
            "How long the gate that has been closed longest has been closed.",
            f"max(wellbeing_current_pause_duration_seconds{{{SCOPES}}})",
            "s",
            thresholds=((None, "green"), (60, "yellow"), (600, "red")),
        ),
        Panel(
            "Worst scopes",
            "Effective states, the worst first.",
            ((f"topk(50, {named(LEVEL)})", ""),),
            "table",
            columns={"scope": "scope", "Value": "state"},
            words=STATES,
            width=8,
            links=True,
        ),
        pause_table("Paused now", SCOPES, with_scope=True, width=16),
        *advice(SCOPES),
        Row("Over time"),
        timeline(
            "State",
            "The effective state: the worst of a scope's own state and its ancestors' states.",
            named(LEVEL),
            "{{scope}}",
            words=STATES,
            height=10,
        ),
        timeline(
            "Gate",
            "While a gate is closed, its requests wait.",
            named(CLOSED),
            "{{scope}}",
            words=GATE,
            height=8,
        ),
        replace(
            line(
                "Waiting",
                "Requests that wait at closed gates, by scope.",
                named(f"sum by (scope) (wellbeing_waiters{{{SCOPES}}})"),
                "{{scope}}",
            ),
            stack=True,
        ),
        replace(
            top_scopes(
                "Share of time paused",
                "Of the last 5 minutes and of the last hour; the ten scopes that were paused most.",
                {
                    "5m": f"wellbeing:paused:ratio_rate5m{{{RECORDED}}}",
                    "1h": f"wellbeing:paused:ratio_rate1h{{{RECORDED}}}",
                },
            ),
            unit="percentunit",
            bound=1,
        ),
        replace(
            top_scopes(
                "Burn rate of the pause budget",
                "How fast each scope uses its budget; at 1, the budget is just met.",
                {
                    "1h": f"wellbeing:pause_budget:burn_rate1h{{{RECORDED}}}",
                    "1d": f"wellbeing:pause_budget:burn_rate1d{{{RECORDED}}}",
                },
            ),
            thresholds=((None, "green"), (1, "yellow"), (6, "orange"), (14.4, "red")),
        ),
        line(
            "Pauses",
            "In the last 15 minutes, by cause. Many in a short time are flapping: see `min_pause_secs` and `resume_ramp_per_sec`.",
            named(increase(f"wellbeing_pauses_total{{{SCOPES}}}", "scope, cause", "15m")),
            "{{scope}} {{cause}}",
        ),
        replace(
            line(
                "Signals",
                "Current signals, by kind of source and by state.",
                f"sum by (source, state) (max by (scope, source, state) (wellbeing_signals{{{SCOPES}}}))",
                "{{source}} {{state}}",
            ),
            stack=True,
        ),
    ),
)
