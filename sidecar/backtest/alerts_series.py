"""Reads when alerts fired from the series ``ALERTS``, which Prometheus writes for each loaded rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .periods import AlertPeriod, Run, extend_runs, firing_periods, runs_of
from .prometheus import Api, query_range
from .rule_evaluation import Grid

FIRING = 'ALERTS{alertstate="firing"}'
_NOT_OF_THE_ALERT = ("__name__", "alertstate")


def read_alerts(
    api: Api, grid: Grid, external_labels: Mapping[str, str], answered: Callable[[int], None]
) -> list[AlertPeriod]:
    """The periods in which alerts fired.

    Args:
        api: of the Prometheus.
        grid: an alert fires from the first point at which it is seen to the first one at which it is not.
        external_labels: that Prometheus adds when it sends alerts; the series has them not.
        answered: called after each answer with the number of its points.

    Raises:
        BacktestError: there was no answer.
    """
    runs: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for answer in query_range(api, FIRING, grid.start, grid.end, grid.step, answered=answered):
        for metric, samples in answer:
            labels = {name: text for name, text in metric.items() if name not in _NOT_OF_THE_ALERT}
            key = tuple(sorted({**external_labels, **labels}.items()))
            extend_runs(runs.setdefault(key, []), runs_of(samples, grid.step), grid.step)
    return [
        AlertPeriod(dict(key), began, ended)
        for key, of_alert in runs.items()
        for began, ended in firing_periods(of_alert, grid.step, 0, 0, grid.last)
    ]
