"""Derives when alerts fired, from the grid points at which a series has a sample.

Rules of this file: times are whole milliseconds since the epoch. A grid has a point every ``step``
milliseconds. A run is a sequence of adjacent grid points with a sample, given by its first and last point.

Theory of operation. Prometheus evaluates a rule at each grid point. An alert is pending from the first point
of a run, and fires once ``for`` has passed since then. At the first point without a sample it is resolved, or
``keep_firing_for`` begins; a new run before its end continues the same alert. The source is Prometheus'
``rules/alerting.go``, ``AlertingRule.Eval``. The series ``ALERTS`` is already the result of this: with both
durations 0, its runs are the periods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Run = tuple[int, int]
"""The first and the last grid point."""


@dataclass(frozen=True, slots=True)
class AlertPeriod:
    """One time that an alert fired.

    Attributes:
        labels: the labels of the alert, including ``alertname``.
        starts_at: time of the evaluation at which it began to fire.
        ends_at: time of the evaluation at which it was resolved; None: not resolved within the range.
        annotations: the annotations when it began to fire.
    """

    labels: Mapping[str, str]
    starts_at: int
    ends_at: int | None
    annotations: Mapping[str, str] = field(default_factory=dict)


def runs_of(samples: Sequence[Sequence[Any]], step: int) -> list[Run]:
    """The runs of the samples of one series.

    Args:
        samples: pairs of time, in seconds, and value, as Prometheus returns them; in order.
        step: the step of the grid.
    """
    if not samples:
        return []
    runs: list[Run] = []
    # If a part has no gap, its two ends are enough; a part with a gap is bisected.
    pieces = [(0, len(samples) - 1)]
    while pieces:
        low, high = pieces.pop()
        first, last = _ms(samples[low]), _ms(samples[high])
        if last - first == step * (high - low):
            extend_runs(runs, ((first, last),), step)
        else:
            middle = (low + high) // 2
            pieces += [(middle + 1, high), (low, middle)]
    return runs


def _ms(sample: Sequence[Any]) -> int:
    return round(float(sample[0]) * 1000)


def extend_runs(runs: list[Run], more: Iterable[Run], step: int) -> None:
    """Append later runs; a run that continues the last one is merged into it."""
    for first, last in more:
        if runs and first - runs[-1][1] <= step:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))


def firing_periods(
    runs: Iterable[Run], step: int, hold: int, keep_firing: int, last_point: int
) -> list[tuple[int, int | None]]:
    """The periods in which an alert fires, as pairs of begin and end.

    An end of None means that it still fires at ``last_point``.

    Args:
        runs: the runs of the alert's expression, in order.
        step: the step of the grid, which is the evaluation interval.
        hold: the rule's ``for``.
        keep_firing: the rule's ``keep_firing_for``.
        last_point: the last grid point of the range.
    """
    pending_steps, kept_steps = _ceil(hold, step), _ceil(keep_firing, step)
    periods: list[tuple[int, int | None]] = []
    began: int | None = None
    ends = 0
    for first, last in runs:
        if began is not None and first > ends:
            periods.append((began, ends))
            began = None
        if began is None:
            fires_at = first + pending_steps * step
            if fires_at <= last:
                began = fires_at
        if began is not None:
            ends = last + (1 + kept_steps) * step
    if began is not None:
        periods.append((began, ends if ends <= last_point else None))
    return periods


def _ceil(duration: int, step: int) -> int:
    return -(-duration // step)
