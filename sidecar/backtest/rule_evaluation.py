"""Evaluates alerting rules over a range, as Prometheus would have, at each point of a grid.

Prometheus evaluates the expression, by range queries whose step is the evaluation interval. The rest of the
rule is applied here: labels, ``for``, ``keep_firing_for``, annotations. The source is Prometheus'
``rules/alerting.go``, ``AlertingRule.Eval``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.errors import short_repr

from .errors import BacktestError
from .periods import AlertPeriod, Run, extend_runs, firing_periods, runs_of
from .prometheus import PrometheusApi, QueryRefused, Series, query_range
from .rule_files import AlertingRule
from .templates import AlertData, InvalidTemplate, Template

ALERTNAME = "alertname"
_Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """The points at which a rule is evaluated.

    Attributes:
        start: the first point, milliseconds since the epoch.
        end: the end of the range; no point is later.
        step: milliseconds between two points.
    """

    start: int
    end: int
    step: int

    @classmethod
    def aligned(cls, start: int, end: int, step: int) -> Grid:
        """A grid of multiples of ``step``, so that the same range always has the same points."""
        return cls(-(-start // step) * step, end, step)

    @property
    def points(self) -> int:
        """The number of points."""
        return max(0, (self.end - self.start) // self.step + 1)

    @property
    def last(self) -> int:
        """The last point."""
        return self.start + (self.points - 1) * self.step


@dataclass(slots=True)
class _ActiveSeries:
    """One alert of a rule: the runs of its series, and values at points of the runs."""

    labels: Mapping[str, str]
    runs: list[Run] = field(default_factory=list)
    values: dict[int, float] = field(default_factory=dict)


class RuleEvaluation:
    """The alerts that one rule raises. Responses are added chunk by chunk.

    Args:
        rule: the rule.
        grid: the grid of its evaluations.
        external_labels: the external labels of the Prometheus.
    """

    def __init__(self, rule: AlertingRule, grid: Grid, external_labels: Mapping[str, str]) -> None:
        self._rule = rule
        self._grid = grid
        self._external = external_labels
        self._by_value = any(one.uses_value for one in rule.labels.values())
        self._needs_values = any(one.uses_value for one in rule.annotations.values())
        self._alerts: dict[_Labels, _ActiveSeries] = {}

    def add(self, answer: list[Series]) -> None:
        """Add the response for the next chunk of the grid.

        Raises:
            BacktestError: two series become one alert, or a template cannot be filled in.
        """
        seen: dict[_Labels, list[Run]] = {}
        for metric, samples in answer:
            for same_value in _by_value(samples) if self._by_value else [samples]:
                self._add_series(metric, same_value, seen)

    def _add_series(
        self, metric: Mapping[str, str], samples: list[list[Any]], seen: dict[_Labels, list[Run]]
    ) -> None:
        value = float(samples[0][1])
        labels = self._labels(metric, value)
        key = tuple(sorted(labels.items()))
        runs = runs_of(samples, self._grid.step)
        if _overlap(runs, seen.get(key, [])):
            raise BacktestError(
                f"{self._where}: two series of its expression get the same labels, "
                f"which Prometheus refuses: {_spelled(labels)}"
            )
        seen[key] = sorted([*seen.get(key, []), *runs])
        alert = self._alerts.setdefault(key, _ActiveSeries({**metric}))
        if self._by_value or seen[key] != runs:
            alert.runs = _united([*alert.runs, *runs], self._grid.step)
        else:
            extend_runs(alert.runs, runs, self._grid.step)
        if self._needs_values:
            self._note_values(alert, samples, runs)

    def _note_values(self, alert: _ActiveSeries, samples: list[list[Any]], runs: list[Run]) -> None:
        """Keep only the values of points at which the alert may begin to fire."""
        delay = -(-self._rule.hold_ms // self._grid.step) * self._grid.step
        starts = {first + delay for first, _ in alert.runs} | {first for first, _ in runs}
        for at, text in samples:
            if (point := round(at * 1000)) in starts:
                alert.values[point] = float(text)

    def periods(self) -> list[AlertPeriod]:
        """When each alert fired. Call it after all responses were added."""
        rule, periods = self._rule, []
        for key, alert in self._alerts.items():
            for began, ended in firing_periods(
                alert.runs, self._grid.step, rule.hold_ms, rule.keep_firing_ms, self._grid.last
            ):
                data = AlertData(alert.labels, alert.values.get(began, 0.0), self._external)
                annotations = self._filled("annotations", rule.annotations, data)
                offset = rule.offset_ms
                periods.append(
                    AlertPeriod(
                        dict(key), began + offset, None if ended is None else ended + offset, annotations
                    )
                )
        return periods

    def _labels(self, metric: Mapping[str, str], value: float) -> dict[str, str]:
        own = self._filled("labels", self._rule.labels, AlertData(metric, value, self._external))
        labels = {**metric, **own, ALERTNAME: self._rule.name}
        return {name: text for name, text in labels.items() if text and name != "__name__"}

    def _filled(self, kind: str, templates: Mapping[str, Template], data: AlertData) -> dict[str, str]:
        filled = {}
        for name, template in templates.items():
            try:
                filled[name] = template.fill(data)
            except InvalidTemplate as error:
                raise BacktestError(f"{self._where}: {kind}.{name}: {error}") from None
        return filled

    @property
    def _where(self) -> str:
        return f"{self._rule.location}: the alert {short_repr(self._rule.name)}"


def _by_value(samples: list[list[Any]]) -> list[list[list[Any]]]:
    """The samples, separated by value: if a label contains the value, each value is another alert."""
    apart: dict[str, list[list[Any]]] = {}
    for sample in samples:
        apart.setdefault(sample[1], []).append(sample)
    return list(apart.values())


def _united(runs: list[Run], step: int) -> list[Run]:
    united: list[Run] = []
    extend_runs(united, sorted(runs), step)
    return united


def _overlap(some: list[Run], others: list[Run]) -> bool:
    """Whether a point lies in runs of both lists; each list is in order."""
    return any(
        first <= other_last and other_first <= last
        for first, last in some
        for other_first, other_last in others
    )


def _spelled(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={short_repr(text)}" for name, text in sorted(labels.items()))


def evaluate_rule(
    api: PrometheusApi,
    rule: AlertingRule,
    grid: Grid,
    external_labels: Mapping[str, str],
    answered: Callable[[int], None],
) -> list[AlertPeriod]:
    """Evaluate ``rule``, and return when its alerts fired.

    Args:
        api: the API of the Prometheus that evaluates the expression.
        rule: the rule.
        grid: the grid of its evaluations.
        external_labels: the external labels of the Prometheus.
        answered: called after each answer with the number of its points.

    Raises:
        BacktestError: there was no answer, or the expression or a template is wrong.
    """
    evaluation = RuleEvaluation(rule, grid, external_labels)
    try:
        for answer in query_range(api, rule.expression, grid.start, grid.end, grid.step, answered=answered):
            evaluation.add(answer)
    except QueryRefused as error:
        raise BacktestError(f"{rule.location}: the alert {short_repr(rule.name)}: expr: {error}") from None
    return evaluation.periods()
