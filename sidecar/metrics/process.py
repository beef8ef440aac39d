"""Metric families of the process as a whole, made from plain numbers at scrape time."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from sidecar import __version__
from sidecar.engines.engine_syncs import EngineSyncs
from sidecar.engines.imports import CounterImports
from sidecar.gates.counters import Counters, Histogram
from sidecar.hooks.dispatcher import Hooks
from sidecar.runtime.controller import Controller


class HasConnections(Protocol):
    """An object with connections."""

    connections: set[Any]


class MetricsSource(Protocol):
    """The parts of the running sidecar that the metrics are read from."""

    controller: Controller
    engines: EngineSyncs
    imports: CounterImports
    hooks: Hooks
    reload_ok: bool
    reloaded_at: float

    @property
    def only_own_scopes(self) -> bool:
        """Whether to leave out the scopes that only other sidecars of the fleet serve."""

    @property
    def fast_path(self) -> HasConnections:
        """Has all open connections."""


class ProcessMetrics:
    """Collects the metric families of the process.

    Args:
        source: the running sidecar.
    """

    def __init__(self, source: MetricsSource) -> None:
        self._source = source
        self._waits = _WaitFamily()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        counters = self._source.controller.counters
        yield self._waits.family(counters)
        yield from _priorities(counters)
        yield from _webhook(counters)
        yield from _alertmanager(counters)
        yield from _reports(counters)
        yield from _engines(self._source.engines)
        yield from _imports(self._source.imports)
        yield from _hooks(self._source.hooks)
        yield from _store(counters)
        yield from _fleet(counters)
        yield _counter(
            "wellbeing_task_failures",
            "Unexpected exceptions of tasks, timers and threads. Each is logged; the task restarts.",
            "task",
            counters.task_failures.counts,
        )
        yield _gauge(
            "wellbeing_config_last_reload_successful",
            "Whether the last load of the config succeeded.",
            float(self._source.reload_ok),
        )
        yield _gauge(
            "wellbeing_config_last_reload_success_timestamp_seconds",
            "When the config was last loaded successfully.",
            self._source.reloaded_at,
        )
        yield _gauge(
            "wellbeing_event_loop_lag_seconds",
            "The longest delay of the event loop in the last 15 seconds.",
            max([*counters.lags], default=0.0),
        )
        yield _gauge(
            "wellbeing_connections", "Open connections.", float(len(self._source.fast_path.connections))
        )
        build = GaugeMetricFamily(
            "wellbeing_build_info",
            "The version of the sidecar; always 1.",
            labels=["version", "python_version"],
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build


class _WaitFamily:
    """The largest family, which is built again only when its values have changed."""

    def __init__(self) -> None:
        self._values: list[tuple[list[int], float]] = []
        self._family: HistogramMetricFamily | None = None

    def family(self, counters: Counters) -> Metric:
        """The family with the current counts."""
        # Reports of clients may add seconds without adding a count.
        values = [(histogram.counts.copy(), histogram.total) for histogram in counters.waits.values()]
        if self._family is None or values != self._values:
            self._family = HistogramMetricFamily(
                "wellbeing_gate_wait_seconds", "How long blocked requests waited.", labels=["outcome"]
            )
            for outcome, histogram in counters.waits.items():
                _add(self._family, [outcome], histogram)
            self._values = values
        return self._family


def _priorities(counters: Counters) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "wellbeing_blocked_requests_by_priority",
        "How the waits of blocked requests ended, by priority, of requests that wait in the sidecar.",
        labels=["priority", "outcome"],
    )
    for priority, outcomes in enumerate(counters.by_priority):
        for outcome, count in outcomes.items():
            ended.add_metric([str(priority), outcome], count)
    yield ended


def _webhook(counters: Counters) -> Iterator[Metric]:
    yield _counter(
        "wellbeing_webhook_notifications", "Notifications received.", "result", counters.notifications
    )
    yield _counter(
        "wellbeing_refusals",
        "Requests refused for their size, number, slowness or sender, by the name of the problem.",
        "reason",
        counters.refusals,
    )
    alerts = CounterMetricFamily(
        "wellbeing_webhook_alerts", "Alerts in accepted notifications.", labels=["status", "outcome"]
    )
    for (status, outcome), count in list(counters.alerts.items()):
        alerts.add_metric([status, outcome], count)
    yield alerts
    yield _gauge(
        "wellbeing_webhook_last_received_timestamp_seconds",
        "When a notification was last accepted; 0: never.",
        counters.last_notification_at,
    )
    reaction = HistogramMetricFamily(
        "wellbeing_alert_reaction_seconds", "Time from an alert's startsAt until the gate closed.", labels=[]
    )
    _add(reaction, [], counters.reaction)
    yield reaction


def _reports(counters: Counters) -> Iterator[Metric]:
    yield _counter("wellbeing_reports", "Reports of counts from clients.", "result", counters.reports)
    yield _gauge("wellbeing_clients", "Clients that report their counts.", counters.clients)
    yield _total("wellbeing_clients_gone", "Clients that stopped reporting.", counters.clients_gone)


def _engines(engines: EngineSyncs) -> Iterator[Metric]:
    labels = ["scope", "engine"]
    in_sync = GaugeMetricFamily(
        "wellbeing_engine_in_sync",
        "Whether the engine is paused exactly while its gate is closed.",
        labels=labels,
    )
    paused = GaugeMetricFamily(
        "wellbeing_engine_paused", "Whether the engine is paused, as far as is known.", labels=labels
    )
    asleep = GaugeMetricFamily(
        "wellbeing_engine_asleep",
        "Whether the sidecar put the engine to sleep in this pause; absent without sleep_after_secs.",
        labels=labels,
    )
    requests = CounterMetricFamily(
        "wellbeing_engine_requests",
        "Requests to the engine's pause API.",
        labels=[*labels, "action", "result"],
    )
    for engine in list(engines.all):
        names = [engine.config.scope, engine.config.name]
        in_sync.add_metric(names, float(engine.in_sync))
        if engine.paused is not None:
            paused.add_metric(names, float(engine.paused))
        if engine.config.sleep_after_secs:
            asleep.add_metric(names, float(engine.asleep))
        for (action, result), count in list(engine.requests.items()):
            requests.add_metric([*names, action, result], count)
    yield from (in_sync, paused, asleep, requests)
    left = len(engines.left_paused)
    yield _gauge(
        "wellbeing_engines_left_paused", "Engines that left the config while paused, and still are.", left
    )
    yield _counter(
        "wellbeing_engine_releases",
        "Engines that left the config while paused, by result.",
        "result",
        engines.releases,
    )


def _imports(imports: CounterImports) -> Iterator[Metric]:
    labels = ["scope", "import"]
    up = GaugeMetricFamily(
        "wellbeing_import_up", "Whether the last poll of the controller succeeded.", labels=labels
    )
    paused = GaugeMetricFamily(
        "wellbeing_import_paused", "Whether the imported controller says that it is paused.", labels=labels
    )
    duration = GaugeMetricFamily(
        "wellbeing_import_current_pause_duration_seconds",
        "How long the imported controller says that it has been paused.",
        labels=labels,
    )
    for one in list(imports.all):
        names = [one.config.scope, one.config.name]
        up.add_metric(names, float(bool(one.up)))
        reading = one.reading
        if reading is not None:
            duration.add_metric(names, reading.pause_secs)
            if reading.paused is not None:
                paused.add_metric(names, float(reading.paused))
    yield from (up, paused, duration)


def _hooks(hooks: Hooks) -> Iterator[Metric]:
    deliveries = CounterMetricFamily(
        "wellbeing_hook_deliveries",
        "Events delivered to the hook, failed attempts that are repeated, and events dropped.",
        labels=["hook", "result"],
    )
    pending = GaugeMetricFamily(
        "wellbeing_hook_pending", "Events that wait for the hook's endpoint.", labels=["hook"]
    )
    for hook in list(hooks.all):
        pending.add_metric([hook.config.name], hook.pending)
        for result, count in list(hook.results.items()):
            deliveries.add_metric([hook.config.name, result], count)
    yield from (deliveries, pending)


def _alertmanager(counters: Counters) -> Iterator[Metric]:
    yield _gauge(
        "wellbeing_blind",
        "1 while the watchdog's alert is missing: a resolve lifts nothing.",
        float(counters.blind),
    )
    heard = GaugeMetricFamily(
        "wellbeing_watchdog_heard",
        "Whether the watchdog's alert was received since it was configured; absent without a watchdog.",
    )
    alertname, was_heard = counters.watchdog
    if alertname:
        heard.add_metric([], float(was_heard))
    yield heard
    up = GaugeMetricFamily(
        "wellbeing_alertmanager_up",
        "Whether the last poll of the Alertmanager succeeded.",
        labels=["alertmanager"],
    )
    for name, answered in list(counters.alertmanagers.items()):
        if answered is not None:
            up.add_metric([name], float(answered))
    yield up
    yield _counter(
        "wellbeing_reconciliations",
        "Polls of the firing alerts from Alertmanager.",
        "result",
        counters.reconciliations,
    )
    yield _counter(
        "wellbeing_reconcile_corrections",
        "Signals that a poll of Alertmanager corrected.",
        "what",
        counters.corrections,
    )
    yield _gauge(
        "wellbeing_reconcile_last_success_timestamp_seconds",
        "When a poll of Alertmanager last succeeded; 0: never.",
        counters.reconciled_at,
    )


def _store(counters: Counters) -> Iterator[Metric]:
    yield _gauge("wellbeing_store_up", "Whether the last commit succeeded.", float(counters.store_up))
    commits = HistogramMetricFamily("wellbeing_store_commit_seconds", "How long commits took.", labels=[])
    _add(commits, [], counters.commits)
    yield commits
    yield _total("wellbeing_store_errors", "Commits that failed.", counters.store_errors)


# For each sample name: the attribute of `FleetCounters`, whether it is a counter, and the help text.
_FLEET_METRICS = {
    "wellbeing_fleet_leader": ("leader", False, "1 while this sidecar is the leader of its fleet."),
    "wellbeing_fleet_term": ("term", False, "Term of the leader; grows with each change of the leader."),
    "wellbeing_fleet_applied_commit": ("applied", False, "Number of the last commit that was applied."),
    "wellbeing_fleet_known_commit": ("known", False, "Number of the newest commit that is known."),
    "wellbeing_fleet_lag_seconds": (
        "lag_secs", False, "Seconds from the last commit of another sidecar to its arrival here.",
    ),
    "wellbeing_fleet_clock_offset_seconds": (
        "clock_offset_secs", False, "How far the clock of Redis is ahead of this machine's.",
    ),
    "wellbeing_fleet_last_known": (
        "last_known", False, "1 while the state comes from the local file, because Redis was not reachable.",
    ),
    "wellbeing_fleet_owed_records": (
        "owed", False, "Records that Redis has lost and that are not written again yet.",
    ),
    "wellbeing_fleet_changes_total": ("changes", True, "Commits of other sidecars that were applied."),
    "wellbeing_fleet_conflicts_total": (
        "conflicts", True, "Batches that were decided again, because another sidecar was first.",
    ),
    "wellbeing_fleet_loads_total": ("loads", True, "Times that the whole state was loaded again."),
    "wellbeing_fleet_went_back_total": (
        "went_back", True, "Times that Redis had lost commits that were applied here.",
    ),
    "wellbeing_fleet_offered_records_total": (
        "offered", True, "Records that this sidecar wrote again after Redis had lost them.",
    ),
}  # fmt: skip


def _fleet(counters: Counters) -> Iterator[Metric]:
    if counters.fleet is None:
        return
    for name, (attribute, is_counter, documentation) in _FLEET_METRICS.items():
        value = float(getattr(counters.fleet, attribute))
        family = _total if is_counter else _gauge
        yield family(name.removesuffix("_total"), documentation, value)


def _counter(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> Metric:
    """A counter with one label."""
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([value], count)
    return family


def _total(name: str, documentation: str, value: float) -> Metric:
    """A counter without labels."""
    family = CounterMetricFamily(name, documentation)
    family.add_metric([], value)
    return family


def _gauge(name: str, documentation: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, documentation)
    family.add_metric([], value)
    return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets = [
        ("+Inf" if bound == float("inf") else str(bound), count) for bound, count in histogram.buckets()
    ]
    family.add_metric(labels, buckets, histogram.total)
