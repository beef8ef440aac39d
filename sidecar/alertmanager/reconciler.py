"""Corrects signals after missed notifications: at start, periodically, and after a truncated notification.

Alertmanager lists the active alerts. A firing alert in the list counts like a notification, even if a resolve
of it was received before the query. A silenced or inhibited alert ends. An alert that is not in the list ends
only if all of this holds:

- The query would list it: it came from the receiver, and it has the labels, that the query names.
- It was missing in two queries in a row, and no notification about it arrived in between.
- The watchdog is not silent.
- An Alertmanager that answered has run for long enough to know all alerts.

The lists of several Alertmanagers, as members of a cluster, are merged: Prometheus sends alerts to each of
them, and they do not exchange alerts. An Alertmanager that does not answer changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import ParamSpec, TypeVar

from sidecar.alerts import ActiveAlert, NoMatch, RuleMatch
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertFired, AlertMissing, AlertOutcome, CommandOutcome, ReconcileAlerts
from sidecar.core.errors import CoreError, TooManyScopes, TooManySignals
from sidecar.core.values import ALERT_PREFIX, ScopeRecord, Signal
from sidecar.gates.counters import Counters
from sidecar.runtime.command_queue import ShuttingDown
from sidecar.runtime.controller import Controller
from sidecar.runtime.garbage import collection_paused
from sidecar.store import StoreUnavailable, WatchdogNotice
from sidecar.supervision import run_supervised
from sidecar.time_slice import TimeSlice, release_in_pieces, run_in_slices

from .client import AlertmanagerReply, QueryAlertmanagers, without_credentials
from .notifications import AlertInterpreter
from .unmatched_alerts import UnmatchedAlert, UnmatchedAlertLog, UnmatchedAlerts
from .watchdog import Watchdog

logger = logging.getLogger(__name__)

_CONFIRM_SECS = 5.0
_RETRY_SECS = 5.0
"""Time between a query that failed and the next one. It doubles with each failure, up to the interval."""
_MAX_DOUBLINGS = 20
_MIN_INTERVAL_SECS = 0.2
"""Minimum time between two queries, even if many notifications are truncated."""
_JITTER = 0.1

P = ParamSpec("P")
T = TypeVar("T")


class _Outcome(Enum):
    DONE = auto()
    UNCONFIRMED = auto()
    """An alert was missing for the first time."""
    FAILED = auto()
    """No Alertmanager answered, or the corrections were not stored."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """The merged lists of all Alertmanagers.

    Attributes:
        firing: alerts that count as firing, by source.
        suppressed: sources that no Alertmanager lists as active.
        ignored: sources that the rules ignore or that are misdirected.
        unmatched: the ignored and misdirected alerts, for the log.
        complete: an Alertmanager that answered has run for long enough to know all alerts.
    """

    firing: dict[str, AlertFired]
    suppressed: frozenset[str]
    ignored: frozenset[str]
    unmatched: tuple[UnmatchedAlert, ...]
    complete: bool


class Reconciler:
    """Queries Alertmanagers, compares their lists with the signals, and corrects the signals.

    Args:
        controller: has the signals.
        interpreter: maps alerts to scopes and states.
        watchdog: says whether a missing alert may end.
        config: which Alertmanagers to query, and how.
        query: queries Alertmanagers.
        unmatched_log: logs alerts that map to no scope.
        jitter: returns a random number from 0 to 1.
    """

    def __init__(
        self,
        controller: Controller,
        interpreter: AlertInterpreter,
        watchdog: Watchdog,
        config: AlertsConfig,
        *,
        query: QueryAlertmanagers,
        unmatched_log: UnmatchedAlertLog,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._controller = controller
        self._watchdog = watchdog
        self._query = query
        self._unmatched_log = unmatched_log
        self._jitter = jitter
        self._absent: dict[str, Signal] = {}
        self._requested = asyncio.Event()
        self.configure(config, interpreter)
        self._task = controller.loop.create_task(
            run_supervised("reconciler", self._run, controller.counters.task_failures)
        )

    def configure(self, config: AlertsConfig, interpreter: AlertInterpreter) -> None:
        """Apply a new config, and query at once."""
        self._config = config
        self._interpreter = interpreter
        self._absent = {}
        names = [without_credentials(url) for url in config.alertmanager_urls]
        up = self._counters.alertmanagers
        self._counters.alertmanagers = {name: up.get(name) for name in names}
        self._requested.set()

    def request(self) -> None:
        """Query at once instead of at the end of the interval."""
        self._requested.set()

    async def stop(self) -> None:
        """Stop the queries."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _counters(self) -> Counters:
        return self._controller.counters

    async def _run(self) -> None:
        failures = 0
        while True:
            self._requested.clear()
            pause = self._config.reconcile_secs * (1 - _JITTER * self._jitter())
            if self._config.alertmanager_urls and self._controller.is_leader:
                outcome = await self._try_to_reconcile()
                failures = failures + 1 if outcome is _Outcome.FAILED else 0
                if outcome is _Outcome.UNCONFIRMED:
                    pause = min(pause / 2, _CONFIRM_SECS)
                elif failures:
                    # A lost notification should not stay lost for a long interval.
                    pause = min(pause, _RETRY_SECS * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
            await asyncio.sleep(_MIN_INTERVAL_SECS)
            try:
                async with asyncio.timeout(pause):
                    await self._requested.wait()
            except TimeoutError:
                continue

    async def _try_to_reconcile(self) -> _Outcome:
        try:
            return await self._reconcile()
        except (StoreUnavailable, CoreError, ShuttingDown) as error:
            self._fail(str(error))
        except Exception:
            self._counters.reconciliations["failed"] += 1
            logger.exception("reconciliation failed")
        return _Outcome.FAILED

    async def _reconcile(self) -> _Outcome:
        """Query and correct once."""
        config, interpreter, clock = self._config, self._interpreter, self._controller.clock
        queried_at, monotonic_at = clock.now(), clock.monotonic()
        loop = self._controller.loop
        # There may be ten thousand alerts, so a thread compares them. The records themselves never change.
        records = list(self._controller.core_state.records.values())
        before = await self._in_thread(_signals_of, records, interpreter.query_id)
        answers = await self._query(config)
        if config is not self._config:
            # The query belongs to an old config, and a query with the new config follows.
            return _Outcome.DONE
        self._log_availability(answers)
        replies = [answer for answer in answers if not answer.error]
        if not replies:
            self._absent = {}
            self._counters.reconciliations["unreachable"] += 1
            return _Outcome.FAILED
        listed = await self._in_thread(_combine, replies, config, interpreter, queried_at)
        self._unmatched_log.log(listed.unmatched, clock.monotonic())
        found = any(answer.watchdog for answer in replies)
        if self._watchdog.record_listing(found, complete=listed.complete, queried_at=monotonic_at):
            # The other sidecars of a fleet do not query.
            await self._controller.share_watchdog(self._watchdog.alertname, WatchdogNotice(firing=True))
        alerts: list[object] = [one for answer in answers for one in answer.alerts]
        del answers, replies
        await loop.run_in_executor(None, release_in_pieces, alerts)
        may_end_missing = listed.complete and not self._watchdog.ignores_missing_alerts
        ended, absent = await self._in_thread(_compare, before, listed, self._absent, may_end_missing)
        if config is not self._config:
            return _Outcome.DONE
        self._absent = {source: before[source] for source in absent} if may_end_missing else {}
        outcome = await self._submit(ReconcileAlerts(tuple(listed.firing.values()), ended, queried_at))
        await run_in_slices(self._watchdog.record_ended_in_steps(outcome, absent), TimeSlice())
        self._count(outcome, len(ended))
        confirmed = not self._absent.keys() - {one.source for one in ended}
        # Releasing the lists here would block the event loop.
        spent: list[object] = [*listed.firing.values(), *ended, *before.values(), listed.firing, before]
        del listed, ended, before, outcome
        await loop.run_in_executor(None, release_in_pieces, spent)
        return _Outcome.DONE if confirmed else _Outcome.UNCONFIRMED

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``work``, which may read ten thousand alerts, in a thread."""

        def call() -> T:
            # Garbage collections would scan all of them, and hold the interpreter for several milliseconds.
            with collection_paused():
                return work(*args, **kwargs)

        return await self._controller.loop.run_in_executor(None, call)

    async def _submit(self, command: ReconcileAlerts) -> CommandOutcome:
        try:
            return await self._controller.submit(command)
        except TooManyScopes as error:
            # Ended alerts still end, and known scopes are still corrected.
            self._fail(str(error))
            known = self._controller.core_state.records
            firing = tuple(alert for alert in command.firing if alert.scope in known)
            return await self._submit(replace(command, firing=firing))
        except TooManySignals as error:
            self._fail(str(error))
            scope_by_alert = self._controller.core_state.scope_by_alert
            firing = tuple(
                alert for alert in command.firing if scope_by_alert.get(alert.source) == alert.scope
            )
            return await self._controller.submit(replace(command, firing=firing))

    def _log_availability(self, answers: list[AlertmanagerReply]) -> None:
        known = self._counters.alertmanagers
        for answer in answers:
            up = not answer.error
            if known.get(answer.name) is not up and answer.name in known:
                fields = {"alertmanager": answer.name}
                if up:
                    logger.info("alertmanager_up", extra={"fields": fields})
                else:
                    logger.warning(
                        "alertmanager_unreachable", extra={"fields": {**fields, "error": answer.error}}
                    )
                known[answer.name] = up

    def _fail(self, error: str) -> None:
        self._counters.reconciliations["failed"] += 1
        logger.error("reconcile_failed", extra={"fields": {"error": error}})

    def _count(self, outcome: CommandOutcome, ended: int) -> None:
        self._counters.reconciliations["done"] += 1
        self._counters.reconciled_at = self._controller.clock.now()
        raised = outcome.alerts.count(AlertOutcome.APPLIED)
        self._counters.corrections["raised"] += raised
        self._counters.corrections["ended"] += ended
        if raised or ended:
            logger.warning("reconciled", extra={"fields": {"raised": raised, "ended": ended}})


def _signals_of(records: list[ScopeRecord], query_id: str) -> dict[str, Signal]:
    """The signals of alerts that the query ``query_id`` would list, by source."""
    return {
        signal.source: signal
        for record in records
        for signal in record.signals.values()
        if signal.query and signal.query == query_id
    }


def _compare(
    before: dict[str, Signal],
    listed: _Listed,
    absent: dict[str, Signal],
    may_end_missing: bool,  # noqa: FBT001
) -> tuple[tuple[AlertMissing, ...], set[str]]:
    """The alerts to end, and the sources of the alerts that no Alertmanager lists.

    Args:
        before: the signals before the query.
        listed: the lists of all Alertmanagers.
        absent: the signals whose alerts were missing in the previous query.
        may_end_missing: whether an alert that is not listed may end.
    """
    ended = []
    for source, signal in before.items():
        if source in listed.suppressed:
            why = "silenced or inhibited"
        elif source in listed.ignored:
            why = "the rules ignore it now"
        elif source not in listed.firing and may_end_missing and absent.get(source) == signal:
            why = "Alertmanager does not list it any more"
        else:
            continue
        ended.append(AlertMissing(source, signal.since, signal.expires_at, why))
    return tuple(ended), before.keys() - listed.firing.keys() - listed.suppressed - listed.ignored


def _combine(
    answers: list[AlertmanagerReply], config: AlertsConfig, interpreter: AlertInterpreter, now: float
) -> _Listed:
    alerts: dict[str, ActiveAlert] = {}
    for answer in answers:
        for one in answer.alerts:
            source = ALERT_PREFIX + one.alert.fingerprint
            other = alerts.get(source)
            if other is None or (other.suppressed and not one.suppressed):
                alerts[source] = one
    silent = not config.alertmanager.count_suppressed
    suppressed = frozenset(source for source, one in alerts.items() if one.suppressed and silent)
    firing = {}
    unmatched = UnmatchedAlerts()
    for source, one in alerts.items():
        match = None if source in suppressed else interpreter.match(one.alert)
        if isinstance(match, RuleMatch):
            firing[source] = interpreter.fired(one.alert, match, now)
        elif isinstance(match, NoMatch):
            unmatched.add(one.alert, match)
    oldest = min(answer.started_at for answer in answers)
    return _Listed(
        firing,
        suppressed,
        frozenset(alerts.keys() - firing.keys() - suppressed),
        unmatched.all(),
        complete=now - oldest >= config.alertmanager.min_uptime_secs,
    )
