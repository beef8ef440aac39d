"""The metric families, made from plain numbers at scrape time by one collector.

Nothing here is touched while requests are served. The loop copies the numbers; the families are
built and rendered in the thread that answers the scrape.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from sidecar import __version__
from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold
from sidecar.runtime.controller import Controller
from sidecar.runtime.counters import Counters, Histogram
from sidecar.runtime.engines import Engines
from sidecar.runtime.gate import Gate
from sidecar.runtime.imports import Imports

T = TypeVar("T")

_MAX_REASON = 120
"""Characters of a reason in a label: it is told in full by status and history."""

_REQUESTS = (
    ("wellbeing_requests", "requests", "Gate requests."),
    ("wellbeing_requests_blocked", "blocked", "Gate requests that met a closed gate."),
    ("wellbeing_requests_waited", "waited", "Blocked requests that were let through."),
    ("wellbeing_requests_timed_out", "timed_out", "Blocked requests whose wait ran out."),
    ("wellbeing_requests_abandoned", "abandoned", "Blocked requests whose client went away."),
    ("wellbeing_requests_rejected", "rejected", "Blocked requests that were turned away."),
)


class Connected(Protocol):
    """Who is connected."""

    connections: set[Any]


class Source(Protocol):
    """Where the numbers come from."""

    controller: Controller
    engines: Engines
    imports: Imports
    reload_ok: bool
    reloaded_at: float

    @property
    def door(self) -> Connected:
        """The light door."""

    def in_loop(self, function: Callable[[], T]) -> T:
        """What ``function`` returns when the loop calls it."""


class Exposition:
    """What a scrape is answered with.

    Args:
        source: the running sidecar.
    """

    def __init__(self, source: Source) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(source))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, text or OpenMetrics as ``accept`` asks."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


@dataclass(frozen=True, slots=True)
class _Row:
    """One scope's numbers."""

    scope: str
    effective: WellbeingState
    closed: bool
    paused_for: float
    paused_secs: float
    hold: Hold | None
    held_by: str | None
    waiting: int
    signals: dict[tuple[str, str], int]
    interventions: int
    pauses: dict[str, int]
    resumes: dict[str, int]
    requests: tuple[int, ...]


class _Collector:
    def __init__(self, source: Source) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the loop, which may not run yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        rows = self._source.in_loop(self._rows)
        yield from _states(rows)
        yield from _pauses(rows, self._source.imports)
        yield from _requests(rows)
        yield from self._process()

    def _rows(self) -> list[_Row]:
        controller = self._source.controller
        now = controller.clock.monotonic()
        return [_row(gate, now) for gate in controller.tree.gates.values()]

    def _process(self) -> Iterator[Metric]:
        counters = self._source.controller.counters
        yield from _webhook(counters)
        yield from _alertmanager(counters)
        yield from _reports(counters)
        yield from _engines(self._source.engines)
        yield from _imports(self._source.imports)
        yield from _store(counters)
        yield _gauge(
            "wellbeing_config_last_reload_successful",
            "Whether the last load of the config was good.",
            float(self._source.reload_ok),
        )
        yield _gauge(
            "wellbeing_config_last_reload_success_timestamp_seconds",
            "When the config was last loaded.",
            self._source.reloaded_at,
        )
        yield _gauge(
            "wellbeing_event_loop_lag_seconds",
            "How late the event loop was at worst within 15 seconds.",
            max([*counters.lags], default=0.0),
        )
        yield _gauge("wellbeing_connections", "Open connections.", float(len(self._source.door.connections)))
        build = GaugeMetricFamily(
            "wellbeing_build_info", "What runs here; always 1.", labels=["version", "python_version"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build


def _row(gate: Gate, now: float) -> _Row:
    signals: dict[tuple[str, str], int] = {}
    for signal in gate.record.signals.values():
        key = (signal.kind, signal.state.label)
        signals[key] = signals.get(key, 0) + 1
    paused_for = gate.paused_for(now)
    return _Row(
        scope=gate.scope,
        effective=gate.effective,
        closed=gate.closed,
        paused_for=paused_for,
        paused_secs=gate.paused_secs + gate.counted_pause(now),
        hold=gate.hold,
        held_by=gate.held_by,
        waiting=gate.waiting,
        signals=signals,
        interventions=gate.interventions,
        pauses=dict(gate.pauses),
        resumes=dict(gate.resumes),
        requests=tuple(getattr(gate, name) for _, name, _ in _REQUESTS),
    )


def _states(rows: list[_Row]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "wellbeing_state", "1 for the current effective state, else 0.", labels=["scope", "state"]
    )
    level = GaugeMetricFamily(
        "wellbeing_state_level", "The effective state: 0 healthy to 3 distressed.", labels=["scope"]
    )
    signals = GaugeMetricFamily(
        "wellbeing_signals", "Signals that stand.", labels=["scope", "source", "state"]
    )
    for row in rows:
        for one in WellbeingState:
            state.add_metric([row.scope, one.label], float(one is row.effective))
        level.add_metric([row.scope], row.effective)
        for (source, label), count in row.signals.items():
            signals.add_metric([row.scope, source, label], count)
    yield from (state, level, signals)


def _pauses(rows: list[_Row], imports: Imports) -> Iterator[Metric]:
    paused = GaugeMetricFamily("wellbeing_paused", "1 while the gate is closed.", labels=["scope"])
    current = GaugeMetricFamily(
        "wellbeing_current_pause_duration_seconds", "How long the gate is closed; 0: open.", labels=["scope"]
    )
    total = CounterMetricFamily(
        "wellbeing_paused_seconds",
        "Time that the gate was closed, since the sidecar started.",
        labels=["scope"],
    )
    until = GaugeMetricFamily(
        "wellbeing_pause_until_timestamp_seconds",
        "When the pause ends by itself; 0: not by itself. Only while the gate is closed.",
        labels=["scope"],
    )
    info = GaugeMetricFamily(
        "wellbeing_pause_info",
        "1 while the gate is closed: by whose hold, of what kind, from which source and why.",
        labels=["scope", "held_by", "kind", "source", "reason"],
    )
    interventions = CounterMetricFamily(
        "wellbeing_interventions", "Changes of the own state.", labels=["scope"]
    )
    pauses = CounterMetricFamily("wellbeing_pauses", "Pauses, by who put them.", labels=["scope", "cause"])
    resumes = CounterMetricFamily("wellbeing_resumes", "Resumes, by cause.", labels=["scope", "cause"])
    elsewhere = {one.config.scope: one.reading.pause_secs for one in list(imports.all) if one.reading}
    for row in rows:
        paused.add_metric([row.scope], float(row.closed))
        current.add_metric([row.scope], max(row.paused_for, elsewhere.get(row.scope, 0.0)))
        total.add_metric([row.scope], row.paused_secs)
        if row.hold is not None:
            hold, held_by = row.hold, row.held_by or "(root)"
            until.add_metric([row.scope], hold.until or 0.0)
            info.add_metric([row.scope, held_by, hold.kind.value, hold.by, hold.reason[:_MAX_REASON]], 1)
        interventions.add_metric([row.scope], row.interventions)
        for cause, count in row.pauses.items():
            pauses.add_metric([row.scope, cause], count)
        for cause, count in row.resumes.items():
            resumes.add_metric([row.scope, cause], count)
    yield from (paused, current, total, until, info, interventions, pauses, resumes)


def _requests(rows: list[_Row]) -> Iterator[Metric]:
    waiters = GaugeMetricFamily("wellbeing_waiters", "Gate requests that wait now.", labels=["scope"])
    for row in rows:
        waiters.add_metric([row.scope], row.waiting)
    yield waiters
    for index, (name, _, documentation) in enumerate(_REQUESTS):
        family = CounterMetricFamily(name, documentation, labels=["scope"])
        for row in rows:
            family.add_metric([row.scope], row.requests[index])
        yield family


def _webhook(counters: Counters) -> Iterator[Metric]:
    waits = HistogramMetricFamily(
        "wellbeing_gate_wait_seconds", "How long blocked requests waited.", labels=["outcome"]
    )
    for outcome, histogram in counters.waits.items():
        _add(waits, [outcome], histogram)
    yield waits
    notifications = CounterMetricFamily(
        "wellbeing_webhook_notifications", "Notifications received.", labels=["result"]
    )
    for result, count in list(counters.notifications.items()):
        notifications.add_metric([result], count)
    yield notifications
    refusals = CounterMetricFamily(
        "wellbeing_refusals",
        "Requests refused for their size, number, pace or sender, by the problem's name.",
        labels=["reason"],
    )
    for reason, count in list(counters.refusals.items()):
        refusals.add_metric([reason], count)
    yield refusals
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
        "wellbeing_alert_reaction_seconds", "From an alert's startsAt to the gate closed.", labels=[]
    )
    _add(reaction, [], counters.reaction)
    yield reaction


def _reports(counters: Counters) -> Iterator[Metric]:
    reports = CounterMetricFamily(
        "wellbeing_reports", "Clients' reports of what they counted.", labels=["result"]
    )
    for result, count in list(counters.reports.items()):
        reports.add_metric([result], count)
    yield reports
    yield _gauge("wellbeing_clients", "Clients that report.", counters.clients)
    gone = CounterMetricFamily("wellbeing_clients_gone", "Clients that stopped reporting.")
    gone.add_metric([], counters.clients_gone)
    yield gone


def _engines(engines: Engines) -> Iterator[Metric]:
    in_sync = GaugeMetricFamily(
        "wellbeing_engine_in_sync", "Whether the engine is as its gate is.", labels=["scope", "engine"]
    )
    paused = GaugeMetricFamily(
        "wellbeing_engine_paused",
        "Whether the engine is paused by its own switch, as far as is known.",
        labels=["scope", "engine"],
    )
    requests = CounterMetricFamily(
        "wellbeing_engine_requests",
        "Requests to the engine's own switch.",
        labels=["scope", "engine", "action", "result"],
    )
    for engine in list(engines.all):
        names = [engine.config.scope, engine.config.name]
        in_sync.add_metric(names, float(engine.in_sync))
        if engine.paused is not None:
            paused.add_metric(names, float(engine.paused))
        for (action, result), count in list(engine.requests.items()):
            requests.add_metric([*names, action, result], count)
    yield from (in_sync, paused, requests)


def _imports(imports: Imports) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "wellbeing_import_up", "Whether it answered when last asked.", labels=["scope", "import"]
    )
    paused = GaugeMetricFamily(
        "wellbeing_import_paused", "Whether it says that it is paused.", labels=["scope", "import"]
    )
    duration = GaugeMetricFamily(
        "wellbeing_import_current_pause_duration_seconds",
        "How long it says that it is paused.",
        labels=["scope", "import"],
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


def _alertmanager(counters: Counters) -> Iterator[Metric]:
    yield _gauge(
        "wellbeing_blind",
        "1 while the watchdog's alert is missing: a resolve lifts nothing.",
        float(counters.blind),
    )
    up = GaugeMetricFamily(
        "wellbeing_alertmanager_up", "Whether it answered when last asked.", labels=["alertmanager"]
    )
    for name, answered in list(counters.alertmanagers.items()):
        if answered is not None:
            up.add_metric([name], float(answered))
    yield up
    rounds = CounterMetricFamily(
        "wellbeing_reconciliations", "Times that Alertmanager was asked what fires.", labels=["result"]
    )
    for result, count in list(counters.reconciliations.items()):
        rounds.add_metric([result], count)
    yield rounds
    corrections = CounterMetricFamily(
        "wellbeing_reconcile_corrections", "Signals that notifications had wrong.", labels=["what"]
    )
    for what, count in list(counters.corrections.items()):
        corrections.add_metric([what], count)
    yield corrections
    yield _gauge(
        "wellbeing_reconcile_last_success_timestamp_seconds",
        "When an Alertmanager last answered; 0: never.",
        counters.reconciled_at,
    )


def _store(counters: Counters) -> Iterator[Metric]:
    yield _gauge("wellbeing_store_up", "Whether the last commit was kept.", float(counters.store_up))
    commits = HistogramMetricFamily("wellbeing_store_commit_seconds", "How long commits took.", labels=[])
    _add(commits, [], counters.commits)
    yield commits
    errors = CounterMetricFamily("wellbeing_store_errors", "Commits that failed.")
    errors.add_metric([], counters.store_errors)
    yield errors


def _gauge(name: str, documentation: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, documentation)
    family.add_metric([], value)
    return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets = [
        ("+Inf" if bound == float("inf") else str(bound), count) for bound, count in histogram.buckets()
    ]
    family.add_metric(labels, buckets, histogram.total)
