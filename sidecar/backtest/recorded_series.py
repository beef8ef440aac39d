"""Checks that Prometheus has the series that the alerts use, if recording rules of the same files record
them.

A rule file that is not loaded records nothing: an alert on such a series would never fire, and its backtest
would show no problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.clock import rfc3339
from sidecar.core.errors import short_repr

from .errors import BacktestError
from .expressions import names_in
from .prometheus import PrometheusApi, QueryRefused, query_range
from .rule_evaluation import Grid
from .rule_files import AlertingRule, RecordingRule

_LOOKS = 100
"""Number of windows into which the range is cut, to find when a series begins."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Finding:
    """When a recorded series begins in Prometheus, seconds since the epoch, and whether it is missing."""

    since: float | None
    missing: bool


class RecordedSeries:
    """Finds recorded series in Prometheus.

    Args:
        api: the API of the Prometheus.
        rules: the recording rules.
        grid: the grid of the evaluation.
    """

    def __init__(self, api: PrometheusApi, rules: Sequence[RecordingRule], grid: Grid) -> None:
        self._api = api
        self._grid = grid
        self._rules: dict[str, list[RecordingRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.name, []).append(rule)
        self._found: dict[str, _Finding] = {}

    def check(self, alerts: Sequence[AlertingRule]) -> list[str]:
        """Look for all series that ``alerts`` use; return notes on series that begin within the range.

        Raises: BacktestError: one is missing although its expression gives samples, or its own sources are
        missing.
        """
        users: dict[str, list[str]] = {}
        for alert in alerts:
            for name in sorted(names_in(alert.expression) & self._rules.keys()):
                users.setdefault(name, []).append(alert.name)
        missing = {name for name in users if self._find(name, ()).missing}
        if missing:
            raise BacktestError(self._sentence(sorted(missing), users))
        return [note for name, alerts_of in users.items() if (note := self._late(name, alerts_of))]

    def _find(self, name: str, above: tuple[str, ...]) -> _Finding:
        if name not in self._found:
            since = self._first_seen(name)
            missing = since is None and self._should_be(name, above)
            self._found[name] = _Finding(since, missing)
        return self._found[name]

    def _should_be(self, name: str, above: tuple[str, ...]) -> bool:
        """Whether the rules for ``name`` would have recorded samples."""
        for rule in self._rules[name]:
            sources = names_in(rule.expression) & self._rules.keys() - {name, *above}
            if any(self._find(one, (*above, name)).missing for one in sources):
                return True
            if self._gives_samples(rule):
                return True
        return False

    def _gives_samples(self, rule: RecordingRule) -> bool:
        step = rule.interval_ms or self._grid.step
        expression = f"count({rule.expression}\n)"
        try:
            answers = query_range(
                self._api, expression, self._grid.start, self._grid.end, step, answered=_ignored
            )
            return any(answers)
        except QueryRefused as error:
            raise BacktestError(
                f"{rule.location}: the record {short_repr(rule.name)}: expr: {error}"
            ) from None

    def _first_seen(self, name: str) -> float | None:
        step = self._look_step
        window = f'last_over_time({{__name__="{name}"}}[{step}ms])'
        answers = query_range(
            self._api, f"count({window})", self._grid.start, self._grid.end + step, step, answered=_ignored
        )
        for answer in answers:
            for _, samples in answer:
                return float(samples[0][0])
        return None

    @property
    def _look_step(self) -> int:
        return max(self._grid.step, (self._grid.end - self._grid.start) // _LOOKS)

    def _late(self, name: str, alerts: list[str]) -> str:
        since = self._found[name].since
        if since is None or since * 1000 <= self._grid.start + 2 * self._look_step:
            return ""
        return (
            f"the recorded series {name} is in Prometheus only since {rfc3339(since)}: "
            f"{_listed(alerts)} cannot have fired before"
        )

    def _sentence(self, missing: list[str], users: dict[str, list[str]]) -> str:
        alerts = sorted({alert for name in missing for alert in users[name]})
        places = [self._rules[name][0].location for name in missing]
        named = ", ".join(f"{name} ({location})" for name, location in zip(missing, places, strict=True))
        return (
            f"{self._api.name} does not have the recorded series {named} in this range, which "
            f"{_listed(alerts)} need{'s' if len(alerts) == 1 else ''}: load the recording rules and wait, "
            "or backfill them (promtool tsdb create-blocks-from rules)"
        )


def _listed(alerts: list[str]) -> str:
    named = ", ".join(map(short_repr, alerts[:_MOST_NAMED]))
    more = len(alerts) - _MOST_NAMED
    return f"the alert{'s' if len(alerts) > 1 else ''} {named}{f' and {more} more' if more > 0 else ''}"


def _ignored(_: int) -> None:
    pass
