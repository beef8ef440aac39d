"""Which scopes are how well, now and over time; the worst first."""

from __future__ import annotations

from .panels import GATE, STATES, YES, Board, Panel, Row, first_counted, scopes

S = 'scope=~"$scope"'

FLEET = Board(
    uid="wellbeing-fleet",
    title="Wellbeing / Fleet",
    description="Which scopes are how well, who is paused by what and until when, and what it costs.",
    variables=(("scope", "Scope", "label_values(wellbeing_state_level, scope)", True),),
    annotations=(
        ("Pauses", "red", f"max by (scope) (wellbeing_paused{{{S}}}) > 0"),
        (
            "Interventions",
            "orange",
            first_counted(f"wellbeing_interventions_total{{{S}}}", "scope", "1m") + " > 0",
        ),
    ),
    parts=(
        Row("Now"),
        Panel(
            "Scopes",
            "Scopes that are known.",
            ((f"count(count by (scope) (wellbeing_state_level{{{S}}}))", ""),),
            "stat",
            width=4,
            height=4,
        ),
        Panel(
            "Not well",
            "Scopes whose effective state is not healthy.",
            ((f"count(max by (scope) (wellbeing_state_level{{{S}}}) > 0) or vector(0)", ""),),
            "stat",
            width=4,
            height=4,
            thresholds=((None, "green"), (1, "orange")),
        ),
        Panel(
            "Paused",
            "Scopes whose gate is closed.",
            ((f"sum(max by (scope) (wellbeing_paused{{{S}}}))", ""),),
            "stat",
            width=4,
            height=4,
            thresholds=((None, "green"), (1, "red")),
        ),
        Panel(
            "Waiting",
            "Requests that wait at closed gates.",
            ((f"sum(wellbeing_waiters{{{S}}})", ""),),
            "stat",
            width=4,
            height=4,
            thresholds=((None, "green"), (1, "yellow"), (1000, "red")),
        ),
        Panel(
            "Blind",
            "Whether a sidecar's watchdog is silent: then a resolve lifts nothing.",
            (("max(wellbeing_blind)", ""),),
            "stat",
            width=4,
            height=4,
            words=YES,
        ),
        Panel(
            "Longest pause",
            "How long the gate that is closed longest has been.",
            ((f"max(wellbeing_current_pause_duration_seconds{{{S}}})", ""),),
            "stat",
            "s",
            width=4,
            height=4,
            thresholds=((None, "green"), (60, "yellow"), (600, "red")),
        ),
        Panel(
            "The worst",
            "Effective state by scope, the worst first.",
            (("topk(50, " + scopes(f"max by (scope) (wellbeing_state_level{{{S}}})") + ")", ""),),
            "table",
            columns={"scope": "scope", "Value": "state"},
            words=STATES,
            width=8,
            links=True,
        ),
        Panel(
            "Paused now",
            "Closed gates: whose hold, of what kind, by what, why, and how long until it ends by itself (0: it does not).",
            (
                (
                    "topk(50, "
                    + scopes(
                        f"max by (scope, held_by, kind, source, reason) (wellbeing_pause_info{{{S}}})"
                        f" * on (scope) group_left () clamp_min(max by (scope) (wellbeing_pause_until_timestamp_seconds{{{S}}}) - time(), 0)"
                    )
                    + ")",
                    "",
                ),
            ),
            "table",
            "s",
            columns={
                "scope": "scope",
                "held_by": "held by",
                "kind": "kind",
                "source": "by",
                "reason": "why",
                "Value": "ends in",
            },
            width=16,
            links=True,
        ),
        Row("Over time"),
        Panel(
            "State",
            "Effective state: the worst of a scope's own and its ancestors'.",
            ((scopes(f"max by (scope) (wellbeing_state_level{{{S}}})"), "{{scope}}"),),
            "timeline",
            width=24,
            height=10,
            words=STATES,
        ),
        Panel(
            "Gate",
            "Whether requests wait.",
            ((scopes(f"max by (scope) (wellbeing_paused{{{S}}})"), "{{scope}}"),),
            "timeline",
            width=24,
            height=8,
            words=GATE,
        ),
        Panel(
            "Waiting",
            "Requests that wait, by scope.",
            ((scopes(f"sum by (scope) (wellbeing_waiters{{{S}}})"), "{{scope}}"),),
            stack=True,
        ),
        Panel(
            "Share of time paused",
            "Of the last 5 minutes and of the last hour, the most paused scopes.",
            (
                (
                    "topk(10, " + scopes(f"max by (scope) (wellbeing:paused:ratio_rate5m{{{S}}})") + ")",
                    "{{scope}} 5m",
                ),
                (
                    "topk(10, " + scopes(f"max by (scope) (wellbeing:paused:ratio_rate1h{{{S}}})") + ")",
                    "{{scope}} 1h",
                ),
            ),
            unit="percentunit",
            bound=1,
        ),
        Panel(
            "Burn of the pause budget",
            "How many times faster than it may each scope's budget is used: at 1 it lasts just as long as it has to.",
            (
                (
                    "topk(10, " + scopes(f"max by (scope) (wellbeing:pause_budget:burn_rate1h{{{S}}})") + ")",
                    "{{scope}} 1h",
                ),
                (
                    "topk(10, " + scopes(f"max by (scope) (wellbeing:pause_budget:burn_rate1d{{{S}}})") + ")",
                    "{{scope}} 1d",
                ),
            ),
            thresholds=((None, "green"), (1, "yellow"), (6, "orange"), (14.4, "red")),
        ),
        Panel(
            "Pauses",
            "By who put them. Many in a short time are flapping: see `min_pause_secs` and `resume_ramp_per_sec`.",
            (
                (
                    scopes(first_counted(f"wellbeing_pauses_total{{{S}}}", "scope, cause", "15m")),
                    "{{scope}} {{cause}}",
                ),
            ),
        ),
        Panel(
            "Signals",
            "What is claimed, by kind of source and state.",
            ((f"sum by (source, state) (wellbeing_signals{{{S}}})", "{{source}} {{state}}"),),
            stack=True,
        ),
    ),
)
