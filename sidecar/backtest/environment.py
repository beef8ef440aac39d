"""Reads the config, the rule groups and the range of data of a Prometheus. Each may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from sidecar.clock import rfc3339
from sidecar.durations import parse_duration

from .errors import BacktestError
from .expressions import names_in
from .prometheus import PrometheusApi, QueryRefused, query_range
from .rule_evaluation import Grid
from .rule_files import AlertingRule

_LOOKS = 200
_QUOTED_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class Environment:
    """The part of a Prometheus config that affects alerts.

    Attributes:
        evaluation_interval_ms: the global evaluation interval; None: not known.
        shortest_interval_ms: the shortest interval of the loaded rule groups with alerts; None: not known.
        external_labels: the labels that are added to every alert that is sent.
        relabels: whether ``alert_relabel_configs`` change alerts.
    """

    evaluation_interval_ms: int | None = None
    shortest_interval_ms: int | None = None
    external_labels: Mapping[str, str] = field(default_factory=dict)
    relabels: bool = False


def read_environment(api: PrometheusApi) -> Environment:
    """Read the config from ``api``.

    For APIs without these routes, such as Thanos and Mimir, use the defaults.

    Raises:
        BacktestError: there is no Prometheus at all.
    """
    # Every Prometheus-like API has this route, so a wrong address is detected here.
    api.get("query", {"query": "1"})
    config = _config(api)
    globals_ = config.get("global")
    globals_ = globals_ if isinstance(globals_, dict) else {}
    external = globals_.get("external_labels")
    alerting = config.get("alerting")
    return Environment(
        _interval(globals_.get("evaluation_interval")),
        _shortest(api),
        {str(key): str(value) for key, value in external.items()} if isinstance(external, dict) else {},
        relabels=isinstance(alerting, dict) and bool(alerting.get("alert_relabel_configs")),
    )


def _config(api: PrometheusApi) -> dict[str, Any]:
    try:
        config = yaml.safe_load(api.get("status/config")["yaml"])
    except (BacktestError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}


def _interval(value: object) -> int | None:
    try:
        return round(parse_duration(str(value)) * 1000) or None
    except ValueError:
        return None


def _shortest(api: PrometheusApi) -> int | None:
    try:
        groups = api.get("rules", {"type": "alert"})["groups"]
        intervals = [round(group["interval"] * 1000) for group in groups if group["rules"]]
    except (BacktestError, KeyError, TypeError):
        return None
    return min(intervals, default=None)


def require_data(api: PrometheusApi, start: int, end: int) -> list[str]:
    """Check that there is data from ``start`` to ``end``, in milliseconds; return notes on missing data.

    Raises:
        BacktestError: there is no data at all.
    """
    times = {"start": f"{start / 1000:.3f}", "end": f"{end / 1000:.3f}"}
    if not api.get("labels", times):
        raise BacktestError(f"{api.name} has no data between {_time(start)} and {_time(end)}")
    step = max(1_000, (end - start) // _LOOKS)
    seen = [
        samples[0][0]
        for answer in query_range(api, "count(up)", start, end, step, answered=lambda _: None)
        for _, samples in answer
    ]
    if seen and seen[0] * 1000 > start + 2 * step:
        first = rfc3339(seen[0])
        return [f"{api.name} has no scrapes before {first}: nothing is known about the time before"]
    return []


def absent_names(api: PrometheusApi, rules: Sequence[AlertingRule], grid: Grid) -> dict[str, list[str]]:
    """The names of series that rules use and that Prometheus does not have in the range, with the rules."""
    users: dict[str, list[str]] = {}
    for rule in rules:
        for name in names_in(rule.expression):
            users.setdefault(name, []).append(rule.name)
    pattern = "|".join(sorted(users))
    if not users or len(pattern) > _QUOTED_LENGTH:
        return {}
    params = {
        "match[]": f'{{__name__=~"{pattern}"}}',
        "start": f"{grid.start / 1000:.3f}",
        "end": f"{grid.end / 1000:.3f}",
    }
    try:
        known = set(api.get("label/__name__/values", params))
    except (QueryRefused, TypeError):
        return {}
    return {name: alerts for name, alerts in sorted(users.items()) if name not in known}


def _time(ms: int) -> str:
    return rfc3339(ms / 1000)
