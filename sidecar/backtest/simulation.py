"""Runs one config on the alerts of the range.

It uses the sidecar's interpreter, watchdog and core, with a simulated clock.

Rules of this file: only `sidecar.alertmanager.notifications`, `sidecar.alertmanager.watchdog` and
`sidecar.core` decide about pauses. This file only decides when they run, as the event loop does in a running
sidecar.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import replace

from sidecar.alertmanager.client import quote_receiver
from sidecar.alertmanager.notifications import AlertInterpreter
from sidecar.alertmanager.watchdog import Watchdog
from sidecar.clock import Clock
from sidecar.config import Config, WatchdogConfig
from sidecar.core.commands import Command, CommandOutcome, Expire
from sidecar.core.deadlines import next_deadline
from sidecar.core.errors import CoreError
from sidecar.core.model import CoreState
from sidecar.core.policy import PolicyTable
from sidecar.core.transaction import Transaction

from .alertmanager_delays import FiringAlert, SentNotification, notifications_of
from .limits import LimitRecorder
from .reconciliation import Reconciliation
from .recorder import Recorder
from .repeats import without_repeats
from .request import AlertmanagerSettings

_WATCHDOG_CHECK_SECS = 5.0
_WATCHDOG_ROUTE = AlertmanagerSettings(
    group_wait_secs=0.0, group_interval_secs=15.0, repeat_interval_secs=60.0
)
"""The route that the docs give a watchdog: repeated often, and sent at once."""


class SimulatedClock(Clock):
    """A clock that shows the simulated time."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        """Simulated wall time, seconds since the epoch."""
        return self.at

    def monotonic(self) -> float:
        """Simulated time in seconds, equal to `now`."""
        return self.at


class Simulation:
    """A sidecar in simulated time.

    Args:
        config: the config of the sidecar.
        policies: the policies of the config, or the policies that are assumed instead.
        alerts: the alerts that fired, sorted by beginning.
        settings: how Alertmanager sends them.
        start: start of the simulation, seconds since the epoch.
        end: end of the simulation, seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        policies: PolicyTable,
        alerts: list[FiringAlert],
        *,
        settings: AlertmanagerSettings,
        start: float,
        end: float,
    ) -> None:
        self.recorder = Recorder()
        self.limits = LimitRecorder()
        self.refused: set[str] = set()
        self._end = end
        self._clock = SimulatedClock(start)
        limits = config.limits
        self._core = CoreState(
            policies, max_scopes=limits.max_scopes, max_signals=limits.max_signals_per_scope
        )
        self._interpreter = AlertInterpreter(config.alerts)
        self._ttl_secs = config.alerts.alert_ttl_secs
        self._orders: deque[Command] = deque()
        self._deadlines: list[tuple[float, str]] = []
        name = config.alerts.watchdog.alertname
        own = [one for one in alerts if name and one.alert.labels.get("alertname") == name]
        self.watchdog_seen = bool(own)
        watched = config.alerts if own else replace(config.alerts, watchdog=WatchdogConfig())
        self._watchdog = Watchdog(watched, self._clock, self._orders.append, self._core.records)
        others = [one for one in alerts if not name or one.alert.labels.get("alertname") != name]
        receiver = quote_receiver(config.alerts.alertmanager.receiver)
        self._notifications = heapq.merge(
            notifications_of(others, settings, end, receiver),
            notifications_of(own, _WATCHDOG_ROUTE, end, receiver),
            key=lambda sent: sent.at,
        )
        self._sent: SentNotification | None = next(self._notifications, None)
        self._next_check = start if own else math.inf
        self._reconciliation = Reconciliation(config.alerts, self._interpreter, self._watchdog, alerts, start)

    def run(self) -> None:
        """Simulate the whole range. `recorder` has the results."""
        while True:
            at, act = min(
                (
                    (self._deadlines[0][0] if self._deadlines else math.inf, self._expire),
                    (self._sent.at if self._sent else math.inf, self._receive),
                    (self._reconciliation.next_at, self._reconcile),
                    (self._next_check, self._check_watchdog),
                ),
                key=lambda one: one[0],
            )
            if at > self._end:
                return
            self._clock.at = max(self._clock.at, at)
            act()
            while self._orders:
                self._submit(self._orders.popleft())

    # -- events -----------------------------------------------------------------------------------

    def _receive(self) -> None:
        sent = self._sent
        assert sent is not None  # noqa: S101 - its time has come
        self._sent = next(self._notifications, None)
        notice = self._watchdog.notice_in(sent.notification)
        if notice is not None:
            self._watchdog.receive(notice)
        news = without_repeats(sent.notification.alerts, self._core, self._ttl_secs, sent.at)
        if not news:
            return
        command = self._interpreter.interpret(replace(sent.notification, alerts=tuple(news)), sent.at).command
        outcome = self._submit(self._watchdog.mark_blind(command))
        if outcome is not None:
            self._watchdog.record_ended(outcome)

    def _reconcile(self) -> None:
        self._reconciliation.round(self._clock.at, self._core, self._submit)

    def _check_watchdog(self) -> None:
        self._watchdog.check()
        self._next_check = self._clock.at + _WATCHDOG_CHECK_SECS

    def _expire(self) -> None:
        due = set()
        while self._deadlines and self._deadlines[0][0] <= self._clock.at:
            due.add(heapq.heappop(self._deadlines)[1])
        self._submit(Expire(tuple(sorted(due))))

    def _submit(self, command: Command) -> CommandOutcome | None:
        transaction = Transaction(self._core)
        try:
            outcome = transaction.apply_command(command, self._clock.at)
        except CoreError as error:
            self.refused.add(str(error))
            return None
        self._core.apply(transaction)
        for scope, record in transaction.records.items():
            policy = self._core.policies.policy_for(scope)
            due = None if record is None else next_deadline(record, policy, self._clock.at)
            if due is not None:
                heapq.heappush(self._deadlines, (due, scope))
        self.recorder.record(outcome.events)
        for event in outcome.events:
            self.limits.record(event)
        return outcome
