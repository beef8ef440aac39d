"""Between Alertmanager and the controller: notifications, the dead man's switch, reconciliation."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from sidecar.alerts import Notification
from sidecar.config import AlertsConfig
from sidecar.core.commands import AddHistoryNote, AlertOutcome, ClaimState, Command
from sidecar.core.errors import CoreError
from sidecar.runtime.controller import Controller, ShuttingDown
from sidecar.store import StoreUnavailable
from sidecar.supervision import RepeatingTimer, run_supervised

from .client import AlertmanagerClient, Ask
from .notifications import AlertInterpreter, Interpretation
from .reconciler import Reconciler
from .unmatched_alerts import UnmatchedAlertLog
from .watchdog import Watchdog

logger = logging.getLogger(__name__)

_LOOK_SECS = 1.0
_RETRY_SECS = 1.0
_MAX_NOTES = 1_000
"""Orders that wait for the store; beyond so many, notes for the history are dropped."""


class Alerting:
    """What is heard, what is not heard, and what is asked. Belongs to the loop.

    Args:
        controller: a running one.
        config: of alerts.
        was_blind: as the history said last.
        ask: asks Alertmanagers; None: over their API.
    """

    def __init__(
        self,
        controller: Controller,
        config: AlertsConfig,
        *,
        was_blind: bool = False,
        ask: Ask | None = None,
    ) -> None:
        self._controller = controller
        self._orders: deque[Command] = deque()
        self._ordered = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._unmatched_log = UnmatchedAlertLog()
        self.interpreter = AlertInterpreter(config)
        self.watchdog = Watchdog(
            config,
            controller.clock,
            self._order,
            controller.core_state.records,
            was_blind=was_blind,
            heard_alertname=controller.core_state.heard_watchdog,
        )
        ask = ask or AlertmanagerClient().ask
        self._reconciler = Reconciler(
            controller,
            self.interpreter,
            self.watchdog,
            config,
            ask=ask,
            unmatched_log=self._unmatched_log,
        )
        failures = controller.counters.task_failures
        self._carrier = controller.loop.create_task(
            run_supervised("watchdog_orders", self._carry_out, failures)
        )
        self._look()
        self._looker = RepeatingTimer(
            controller.loop, _LOOK_SECS, self._look, name="watchdog", failures=failures
        )

    def configure(self, config: AlertsConfig) -> None:
        """Go on with ``config``."""
        self.interpreter = AlertInterpreter(config)
        self.watchdog.configure(config)
        self._reconciler.configure(config, self.interpreter)
        self._show()

    async def stop(self) -> None:
        """Look, ask and order no more."""
        self._looker.stop()
        self._carrier.cancel()
        self._settled.set()
        await asyncio.gather(self._carrier, return_exceptions=True)
        await self._reconciler.stop()

    async def take(
        self, notification: Notification, interpretation: Interpretation, actor: str = ""
    ) -> dict[str, int]:
        """Apply ``notification``, understood as ``heard``; by outcome, how many alerts there were.

        Raises:
            CoreError: it was refused; nothing of it was done.
            StoreUnavailable: it could not be kept; nothing of it was done.
            ShuttingDown: it came too late.
        """
        if notification.truncated_alerts:
            self._reconciler.hurry()
        if not interpretation.command.within:
            # Who may speak of a part alone cannot say that somebody watches over the whole.
            self.watchdog.hear(notification)
        self._show()
        counters = self._controller.counters
        # What the watchdog has taken back counts before what is told later.
        await self._settled.wait()
        outcome = await self._controller.submit(self.watchdog.guard(interpretation.command), actor)
        self.watchdog.note(outcome)
        if AlertOutcome.STALE in outcome.alerts:
            # A late repetition, or a Prometheus that stood still and goes on: Alertmanager knows.
            self._reconciler.hurry()
        self._unmatched_log.tell(
            interpretation.unmatched,
            self._controller.clock.monotonic(),
            receiver=notification.receiver,
            sender=actor,
        )
        return interpretation.count(outcome, counters, self._controller.clock.now())

    def hurry(self) -> None:
        """Something was not heard: ask Alertmanager at once."""
        self._reconciler.hurry()

    def _look(self) -> None:
        self.watchdog.look()
        self._show()

    def _show(self) -> None:
        counters = self._controller.counters
        counters.blind = self.watchdog.blind
        counters.watchdog = (self.watchdog.alertname, self.watchdog.heard)

    def _order(self, command: Command) -> None:
        """Have ``command`` done soon, after those that were ordered before."""
        if len(self._orders) >= _MAX_NOTES:
            if isinstance(command, AddHistoryNote):
                return
            if isinstance(command, ClaimState):
                # The last claim of a source in a scope counts.
                self._orders = deque(one for one in self._orders if not _is_same_claim(one, command))
        self._orders.append(command)
        self._ordered.set()
        if self._controller.counters.store_up:
            self._settled.clear()

    async def _carry_out(self) -> None:
        """Have the watchdog's orders done one after the other, however long the store is down."""
        while True:
            if not self._orders:
                self._settled.set()
                self._ordered.clear()
                await self._ordered.wait()
            command = self._orders[0]
            try:
                await self._controller.submit(command)
            except StoreUnavailable:
                # Nobody waits for orders that wait for the store.
                self._settled.set()
                await asyncio.sleep(_RETRY_SECS)
                continue
            except ShuttingDown:
                self._settled.set()
                return
            except CoreError as error:
                logger.error("watchdog_refused", extra={"fields": {"error": str(error)}})
            except Exception:
                logger.exception("an order of the watchdog failed")
            if self._orders and self._orders[0] is command:
                self._orders.popleft()


def _is_same_claim(one: Command, other: ClaimState) -> bool:
    return isinstance(one, ClaimState) and (one.scope, one.source) == (other.scope, other.source)
