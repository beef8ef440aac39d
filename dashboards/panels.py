"""Panels and dashboards as values, and the kinds of panels that several dashboards have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .queries import increase, named, pauses, quantile, share

STATES = {
    "0": ("healthy", "green"),
    "1": ("cautious", "yellow"),
    "2": ("concerned", "orange"),
    "3": ("distressed", "red"),
}
GATE = {"0": ("open", "green"), "1": ("closed", "red")}
YES = {"0": ("no", "green"), "1": ("yes", "red")}
NO = {"0": ("no", "red"), "1": ("yes", "green")}
FIRING = {"0": ("none", "green"), "1": ("firing", "red")}
SIDECAR_VARIABLES = (
    ("cluster", "Cluster", "label_values(wellbeing_build_info, cluster)", True),
    ("instance", "Sidecar", 'label_values(wellbeing_build_info{cluster=~"$cluster"}, instance)', True),
)
ADVICE = {"0": ("none", "green"), "1": ("advised", "purple")}
ENDS = {"-1": ("no end", "orange")}
"""The value of a pause without an end."""

WIDTH = 24

Thresholds = tuple[tuple[float | None, str], ...]
Words = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: its heading.
        description: what it means; shown as a tooltip.
        queries: PromQL, each with its legend.
        kind: ``timeseries``, ``stat``, ``table``, ``timeline`` or ``heatmap``.
        unit: Grafana's name of the unit.
        width: in columns, of 24.
        height: in Grafana's rows.
        thresholds: values, each with the colour that applies from it upwards.
        words: texts that are shown instead of numbers, with their colours.
        stack: whether the series are stacked.
        columns: for a table: its labels and their headings; other labels are not shown.
        bound: the upper end of the axis.
        links: for a table: whether a row links to the dashboard of its scope.
    """

    title: str
    description: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: Thresholds = ()
    words: Words = field(default_factory=dict)
    stack: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    bound: float | None = None
    links: bool = False


@dataclass(frozen=True)
class Row:
    """A heading over panels."""

    title: str


@dataclass(frozen=True)
class Board:
    """One dashboard.

    Attributes:
        uid: in the dashboard's address; it never changes.
        title: its name.
        description: its purpose.
        variables: for each its name, its label, the query for its values, and whether several can be chosen.
        parts: rows and panels, in order.
        annotations: for each its name, colour and query.
    """

    uid: str
    title: str
    description: str
    variables: tuple[tuple[str, str, str, bool], ...]
    parts: tuple[Panel | Row, ...]
    annotations: tuple[tuple[str, str, str], ...] = ()


def value(
    title: str,
    description: str,
    query: str,
    unit: str = "short",
    *,
    legend: str = "",
    width: int = 4,
    thresholds: Thresholds = (),
    words: Words | None = None,
) -> Panel:
    """A small panel with one current value."""
    return Panel(
        title,
        description,
        ((query, legend),),
        "stat",
        unit,
        width=width,
        height=4,
        thresholds=thresholds,
        words=words or {},
    )


def timeline(title: str, description: str, query: str, legend: str, *, words: Words, height: int) -> Panel:
    """Which of a few states each series was in, over time."""
    return Panel(title, description, ((query, legend),), "timeline", width=WIDTH, height=height, words=words)


def line(title: str, description: str, query: str, legend: str, unit: str = "short") -> Panel:
    """The series of one query, over time."""
    return Panel(title, description, ((query, legend),), unit=unit)


def top_scopes(title: str, description: str, metrics: dict[str, str]) -> Panel:
    """The ten scopes with the highest values, over time.

    Args:
        title: of the panel.
        description: of the panel.
        metrics: legends and recorded series with a scope.
    """
    return Panel(
        title,
        description,
        tuple(
            (f"topk(10, {named(f'max by (scope) ({metric})')})", f"{{{{scope}}}} {legend}")
            for legend, metric in metrics.items()
        ),
    )


def durations(
    title: str, description: str, histogram: str, quantiles: Sequence[float], window: str = "$__rate_interval"
) -> Panel:
    """Quantiles of a histogram of durations, over time."""
    return Panel(
        title,
        description,
        tuple((quantile(one, histogram, window=window), f"p{100 * one:g}") for one in quantiles),
        unit="s",
    )


def pause_table(title: str, selector: str, *, with_scope: bool, width: int, height: int = 8) -> Panel:
    """The current pauses.

    Args:
        title: of the panel.
        selector: of the scopes.
        with_scope: whether there are several scopes, each with a link to its dashboard.
        width: in columns.
        height: in Grafana's rows.
    """
    columns = {
        "held_by": "held by",
        "kind": "kind",
        "source": "source",
        "reason": "reason",
        "Value": "ends in",
    }
    return Panel(
        title,
        "Closed gates: the scope whose hold closes the gate, the kind of hold, its source and reason, and the time until it ends.",
        ((f"topk(50, {named(pauses(selector))})", ""),),
        "table",
        "s",
        columns={"scope": "scope", **columns} if with_scope else columns,
        width=width,
        height=height,
        words=ENDS,
        thresholds=((None, "text"),),
        links=with_scope,
    )


def advice(selector: str) -> tuple[Row | Panel, ...]:
    """Pauses that observing policies would have made: now, how often, how long, and the share of time."""
    seconds = f"wellbeing_advised_paused_seconds_total{{{selector}}}"
    advised = f"max by (scope) (wellbeing_advised{{{selector}}})"
    return (
        Row("Would have paused"),
        value(
            "Advised now",
            "Scopes that a policy would pause now, if it did not only observe.",
            f"sum({advised})",
            thresholds=((None, "green"), (1, "purple")),
        ),
        value(
            "Advised pauses, last day",
            "How often a pause was advised.",
            f"sum({increase(f'wellbeing_advised_pauses_total{{{selector}}}', 'scope', '1d')})",
        ),
        value(
            "Advised time, last day",
            "How long scopes would have been paused, added up over scopes.",
            f"sum({increase(seconds, 'scope', '1d')})",
            "s",
        ),
        value(
            "Largest share, last day",
            "The share of the last day for which the scope with the longest advice would have been paused.",
            f"max({share(seconds, '1d')})",
            "percentunit",
            thresholds=((None, "green"), (0.01, "yellow"), (0.1, "red")),
        ),
        Panel(
            "Share of time advised",
            "Of the last hour; the ten scopes that would have been paused most.",
            ((f"topk(10, {named(share(seconds, '1h'))})", "{{scope}}"),),
            unit="percentunit",
            width=8,
            height=4,
            bound=1,
        ),
        timeline(
            "Advice",
            "While a pause is advised, the gate would be closed if the policy did not only observe.",
            named(advised),
            "{{scope}}",
            words=ADVICE,
            height=6,
        ),
    )


def interventions(selector: str) -> tuple[str, str, str]:
    """The annotation that marks changes of a scope's own state."""
    query = increase(f"wellbeing_interventions_total{{{selector}}}", "scope", "1m")
    return ("Interventions", "orange", f"{query} > 0")
