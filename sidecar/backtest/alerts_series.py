"""Reads from the series ``ALERTS`` when alerts fired. Prometheus writes it for each loaded rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .periods import AlertPeriod, Run, extend_runs, firing_periods, runs_of
from .prometheus import PrometheusApi, query_range
from .rule_evaluation import Grid

FIRING = 'ALERTS{alertstate="firing"}'
_NOT_OF_THE_ALERT = ("__name__", "alertstate")


def read_alerts(
    api: PrometheusApi, grid: Grid, external_labels: Mapping[str, str], answered: Callable[[int], None]
) -> list[AlertPeriod]:
    """The periods in which alerts fired.

    Args:
        api: the API of the Prometheus.
        grid: the points to sample. An alert fires from the first point with a sample to the first point
            without one.
        external_labels: the labels that Prometheus adds when it sends alerts. ``ALERTS`` does not have them.
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
