"""Which scopes are how well, now and over time; the worst first."""

from __future__ import annotations

from .panels import GATE, STATES, YES, Board, Panel, Row

S = 'scope=~"$scope"'

FLEET = Board(
    uid="wellbeing-fleet",
    title="Wellbeing / Fleet",
    description="Which scopes are how well, who is paused by what and until when, and what it costs.",
    variables=(("scope", "Scope", "label_values(wellbeing_state_level, scope)", True),),
    annotations=(("Pauses", "red", f"sum by (scope) (changes(wellbeing_paused{{{S}}}[1m])) > 0"),),
    parts=(
        Row("Now"),
        Panel(
            "Scopes",
            "Scopes that are known.",
            ((f"count(wellbeing_state_level{{{S}}})", ""),),
            "stat",
            width=4,
            height=4,
        ),
        Panel(
            "Not well",
            "Scopes whose effective state is not healthy.",
            ((f"count(wellbeing_state_level{{{S}}} > 0) or vector(0)", ""),),
            "stat",
            width=4,
            height=4,
            thresholds=((None, "green"), (1, "orange")),
        ),
        Panel(
            "Paused",
            "Scopes whose gate is closed.",
            ((f"sum(wellbeing_paused{{{S}}})", ""),),
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
            ((f"sort_desc(wellbeing_state_level{{{S}}})", ""),),
            "table",
            columns={"scope": "scope", "instance": "sidecar", "Value": "state"},
            words=STATES,
        ),
        Panel(
            "Paused now",
            "Closed gates, and for how long. `wellbeing-sidecar status SCOPE` tells by what and until when.",
            ((f"sort_desc(wellbeing_current_pause_duration_seconds{{{S}}} > 0)", ""),),
            "table",
            "s",
            columns={"scope": "scope", "instance": "sidecar", "Value": "closed for"},
        ),
        Row("Over time"),
        Panel(
            "State",
            "Effective state: the worst of a scope's own and its ancestors'.",
            ((f"wellbeing_state_level{{{S}}}", "{{scope}}"),),
            "timeline",
            width=24,
            height=10,
            words=STATES,
        ),
        Panel(
            "Gate",
            "Whether requests wait.",
            ((f"wellbeing_paused{{{S}}}", "{{scope}}"),),
            "timeline",
            width=24,
            height=8,
            words=GATE,
        ),
        Panel(
            "Waiting",
            "Requests that wait, by scope.",
            ((f"wellbeing_waiters{{{S}}}", "{{scope}}"),),
            stack=True,
        ),
        Panel(
            "Share of time paused",
            "Of the last 5 minutes and of the last hour, the most paused scopes.",
            (
                (f"topk(10, wellbeing:paused:ratio_rate5m{{{S}}})", "{{scope}} 5m"),
                (f"topk(10, wellbeing:paused:ratio_rate1h{{{S}}})", "{{scope}} 1h"),
            ),
            unit="percentunit",
            bound=1,
        ),
        Panel(
            "Pauses",
            "By who put them. Many in a short time are flapping: see `min_pause_secs` and `resume_ramp_per_sec`.",
            (
                (
                    f"sum by (scope, cause) (increase(wellbeing_pauses_total{{{S}}}[15m]))",
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
