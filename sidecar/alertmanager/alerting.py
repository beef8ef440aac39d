"""Connects Alertmanager to the controller: notifications, the dead man's switch, reconciliation."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from sidecar.alerts import Notification
from sidecar.config import AlertsConfig
from sidecar.core.commands import (
    AddHistoryNote,
    AlertOutcome,
    ClaimState,
    Command,
    RememberWatchdog,
)
from sidecar.core.errors import CoreError
from sidecar.core.values import ScopeRecord
from sidecar.runtime.command_queue import ShuttingDown
from sidecar.runtime.controller import Controller
from sidecar.store import StoreUnavailable
from sidecar.supervision import RepeatingTimer, run_supervised
from sidecar.time_slice import TimeSlice, run_in_slices

from .client import AlertmanagerClient, QueryAlertmanagers
from .notifications import AlertInterpreter, Interpretation
from .reconciler import Reconciler
from .unmatched_alerts import UnmatchedAlertLog
from .watchdog import Watchdog

logger = logging.getLogger(__name__)

_CHECK_SECS = 1.0
_RETRY_SECS = 1.0
_SLICE_SECS = 0.0005
_MAX_QUEUED = 1_000
"""Maximum number of commands that wait for the store. Above it, history notes are dropped."""


class Alerting:
    """Receives notifications, and runs the watchdog and the reconciler. Not thread-safe: use it in the loop.

    Args:
        controller: a running controller.
        config: the section ``alerts`` of the config.
        was_blind: whether the sidecar was blind by the last entry of the history.
        query: queries Alertmanagers; None: over their API.
    """

    def __init__(
        self,
        controller: Controller,
        config: AlertsConfig,
        *,
        was_blind: bool = False,
        query: QueryAlertmanagers | None = None,
    ) -> None:
        self._controller = controller
        self._queue: deque[Command] = deque()
        self._queue_filled = asyncio.Event()
        self._queue_idle = asyncio.Event()
        self._queue_idle.set()
        self._unmatched_log = UnmatchedAlertLog()
        self.interpreter = AlertInterpreter(config)
        self.watchdog = Watchdog(
            config,
            controller.clock,
            self._enqueue,
            controller.core_state.records,
            was_blind=was_blind,
            seen_alertname=controller.core_state.seen_watchdog,
            acts=lambda: controller.is_leader,
        )
        controller.on_went_back = self.reconcile_now
        controller.on_alerts_ended = self._record_ended_elsewhere
        controller.on_resolves_held = self.watchdog.record_held_elsewhere
        controller.on_watchdog = self._record_watchdog
        query = query or AlertmanagerClient().query
        self._reconciler = Reconciler(
            controller,
            self.interpreter,
            self.watchdog,
            config,
            query=query,
            unmatched_log=self._unmatched_log,
        )
        failures = controller.counters.task_failures
        self._queue_task = controller.loop.create_task(
            run_supervised("watchdog_orders", self._run_queue, failures)
        )
        self._check_watchdog()
        self._check_timer = RepeatingTimer(
            controller.loop, _CHECK_SECS, self._check_watchdog, name="watchdog", failures=failures
        )

    def configure(self, config: AlertsConfig) -> None:
        """Apply a new config."""
        self.interpreter = AlertInterpreter(config)
        self.watchdog.configure(config)
        self._reconciler.configure(config, self.interpreter)
        self._publish_watchdog()

    async def stop(self) -> None:
        """Stop all timers and tasks."""
        self._check_timer.stop()
        self._queue_task.cancel()
        self._queue_idle.set()
        await asyncio.gather(self._queue_task, return_exceptions=True)
        await self._reconciler.stop()

    async def receive(
        self, notification: Notification, interpretation: Interpretation, actor: str = "", peer: str = ""
    ) -> dict[str, int]:
        """Apply ``notification``, interpreted as ``interpretation``. Returns the number of alerts by outcome.

        ``actor`` and ``peer`` are the name of the sender's credential and its address, for history and log.

        Raises:
            CoreError: a limit would be exceeded; nothing was applied.
            StoreUnavailable: it could not be stored; nothing was applied.
            ShuttingDown: the controller is shutting down.
        """
        if notification.truncated_alerts:
            self._reconciler.request()
        if not interpretation.command.sender_scope:
            # A sender that is limited to a scope cannot show that alerting as a whole works.
            await self._receive_watchdog(notification)
        self._publish_watchdog()
        counters = self._controller.counters
        # Signals that the watchdog restores must be applied before a later notification.
        await self._queue_idle.wait()
        outcome = await self._controller.submit(self.watchdog.mark_blind(interpretation.command), actor)
        await run_in_slices(self.watchdog.record_ended_in_steps(outcome), TimeSlice(_SLICE_SECS, _SLICE_SECS))
        if AlertOutcome.STALE in outcome.alerts:
            # Either this is a late retry, or Prometheus was suspended and continues. Alertmanager knows.
            self._reconciler.request()
        self._unmatched_log.log(
            interpretation.unmatched,
            self._controller.clock.monotonic(),
            receiver=notification.receiver,
            sender=actor,
            peer=peer,
        )
        answer: dict[str, int] = {}
        counted = interpretation.count(outcome, counters, self._controller.clock.now(), answer)
        await run_in_slices(counted, TimeSlice(_SLICE_SECS, _SLICE_SECS))
        return answer

    async def _receive_watchdog(self, notification: Notification) -> None:
        notice = self.watchdog.notice_in(notification)
        if notice is None:
            return
        if notice.firing:
            self.watchdog.receive(notice)
        counts = await self._controller.share_watchdog(self.watchdog.alertname, notice)
        if counts and not notice.firing:
            self.watchdog.receive(notice)

    def reconcile_now(self) -> None:
        """Query Alertmanager at once, because a notification was lost."""
        self._reconciler.request()

    def leadership_changed(self) -> None:
        """Handle that this sidecar became the leader of its fleet, or lost the leadership."""
        if self._controller.is_leader:
            self.watchdog.take_over()
            self._reconciler.request()
        else:
            # The new leader decides by its own knowledge.
            self._queue.clear()

    def _record_ended_elsewhere(self, ended: list[tuple[str, ScopeRecord, str]]) -> None:
        now = self._controller.clock.now()
        for scope, before, source in ended:
            self.watchdog.record_ended_elsewhere(scope, before, source, now)

    def _record_watchdog(self, alertname: str, firing_ago: float | None, resolved_ago: float | None) -> None:
        self.watchdog.record_elsewhere(alertname, firing_ago, resolved_ago)
        self._publish_watchdog()

    def _check_watchdog(self) -> None:
        self.watchdog.check()
        self._publish_watchdog()

    def _publish_watchdog(self) -> None:
        counters = self._controller.counters
        counters.blind = self.watchdog.blind
        counters.watchdog = (self.watchdog.alertname, self.watchdog.seen)

    def _enqueue(self, command: Command) -> None:
        """Queue ``command`` of the watchdog. Commands are submitted in order, in a fleet by the leader."""
        if not self._controller.is_leader and not isinstance(command, RememberWatchdog):
            return
        if len(self._queue) >= _MAX_QUEUED:
            if isinstance(command, AddHistoryNote):
                return
            if isinstance(command, ClaimState):
                # Only the last claim of a source in a scope matters.
                self._queue = deque(one for one in self._queue if not _is_same_claim(one, command))
        self._queue.append(command)
        self._queue_filled.set()
        if self._controller.counters.store_up:
            self._queue_idle.clear()

    async def _run_queue(self) -> None:
        """Submit the queued commands one by one. While the store is down, they are retried."""
        while True:
            if not self._queue:
                self._queue_idle.set()
                self._queue_filled.clear()
                await self._queue_filled.wait()
                continue
            command = self._queue[0]
            try:
                await self._controller.submit(command)
            except StoreUnavailable:
                # Notifications must not wait for commands that wait for the store.
                self._queue_idle.set()
                await asyncio.sleep(_RETRY_SECS)
                continue
            except ShuttingDown:
                self._queue_idle.set()
                return
            except CoreError as error:
                logger.error("watchdog_refused", extra={"fields": {"error": str(error)}})
            except Exception:
                logger.exception("a command of the watchdog failed")
            if self._queue and self._queue[0] is command:
                self._queue.popleft()


def _is_same_claim(one: Command, other: ClaimState) -> bool:
    return isinstance(one, ClaimState) and (one.scope, one.source) == (other.scope, other.source)
