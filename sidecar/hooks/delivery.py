"""Delivers the events of one hook in order, one at a time, until the endpoint accepts each of them.

A failed attempt is repeated after a backoff with jitter, without a limit. An event is dropped only if the
queue is full, or if the endpoint has refused its content ten times. An event may arrive twice: after an
attempt without a response, or after a crash. Its id is the same each time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from sidecar.blocking_calls import BlockingCalls, CallHangs
from sidecar.config import HookConfig
from sidecar.runtime.controller import Controller
from sidecar.supervision import run_supervised

from .endpoint import DeliveryFailed, Endpoint
from .events import HookEvent, wants
from .formats import Notes, make_format
from .position import HookPosition
from .queue import HookQueue

logger = logging.getLogger(__name__)

RESULTS = ("delivered", "retried", "dropped")
_FIRST_BACKOFF_SECS = 0.25
_MAX_BACKOFF_SECS = 60.0
_MAX_RETRY_AFTER_SECS = 3_600.0
_MAX_REFUSALS = 10
_HANG_FACTOR = 3.0
_LOG_AGAIN_SECS = 600.0
_MAX_EARLY = 100


class HookDelivery:
    """One hook with its queue and its task.

    Args:
        controller: has the loop, the clock and the counters.
        config: the config of the hook.
        base: URL at which people reach the sidecar; empty: it is not known.
        position: how far the hook has come.
        is_new: whether the hook has no position in the store.
        on_progress: called when the position has changed.

    Attributes:
        config: the config.
        base: URL at which people reach the sidecar.
        results: delivered events, failed attempts and dropped events.
        position: how far the hook has come.
        failing_since: monotonic time of the first failure in a row; None: the last attempt succeeded.
    """

    def __init__(
        self,
        controller: Controller,
        config: HookConfig,
        base: str,
        position: HookPosition,
        on_progress: Callable[[], None],
        *,
        is_new: bool,
    ) -> None:
        self.results = dict.fromkeys(RESULTS, 0)
        self.position = position
        self.failing_since: float | None = None
        self._clock = controller.clock
        self._on_progress = on_progress
        self._queue = HookQueue(config.max_pending)
        self._early: list[str] = []
        self._logged_at: dict[str, float] = {}
        # An attempt of the previous run may have arrived.
        self._is_repeat = not is_new
        self._reconfigured = asyncio.Event()
        self._loop = controller.loop
        self.configure(config, base)
        self._task = controller.loop.create_task(
            run_supervised("hook", self._run, controller.counters.task_failures)
        )

    @property
    def pending(self) -> int:
        """The number of events that wait for the endpoint."""
        return len(self._queue)

    def configure(self, config: HookConfig, base: str) -> None:
        """Use ``config`` from now on, and make the next attempt at once."""
        self.config = config
        self.base = base
        self._format = make_format(config, base)
        self._endpoint = Endpoint(config, self._clock)
        self._calls = BlockingCalls(self._loop, "hook", config.timeout_secs * _HANG_FACTOR)
        self._count_dropped(self._queue.limit(config.max_pending))
        self._reconfigured.set()

    def offer(self, event: HookEvent) -> None:
        """Queue ``event`` if the hook receives such events and has not received this one."""
        entry_id = event.entry.id
        if (entry_id and entry_id <= self.position.entry_id) or not wants(self.config, event):
            return
        if event.id in self._early:
            # The event was queued before the history contained it.
            self._early.remove(event.id)
            return
        if not entry_id:
            self._early = [*self._early, event.id][-_MAX_EARLY:]
        self._count_dropped(self._queue.put(event))

    def skip_to(self, entry_id: int) -> None:
        """Note that entries up to ``entry_id`` were offered. If no event waits, the hook received them."""
        if not self._queue and entry_id > self.position.entry_id:
            self.position = HookPosition(entry_id, self.position.notes)
            self._on_progress()

    def cancel(self) -> None:
        """Stop the deliveries of a hook that left the config."""
        self._task.cancel()

    async def stop(self) -> None:
        """Stop the deliveries. The next run delivers the waiting events."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            event = await self._queue.wait()
            notes = await self._deliver(event) if wants(self.config, event) else self.position.notes
            if self._queue.first is event:
                self._queue.remove_first()
            following = self._queue.first
            if following is None or following.entry.id != event.entry.id:
                # An entry with two events is done when both have arrived.
                self.position = HookPosition(max(self.position.entry_id, event.entry.id), notes)
            else:
                self.position = HookPosition(self.position.entry_id, notes)
            self._on_progress()

    async def _deliver(self, event: HookEvent) -> Notes:
        """Deliver ``event`` unless it is dropped meanwhile; return the notes of the format."""
        attempts = refusals = 0
        while self._queue.first is event and wants(self.config, event):
            self._reconfigured.clear()
            attempts += 1
            try:
                notes = await self._attempt(event)
            except DeliveryFailed as error:
                self._is_repeat = True
                refusals += error.is_refused
                if refusals >= _MAX_REFUSALS:
                    self._give_up(event, error)
                    break
                self._fail(event, error)
                least = min(error.retry_after, _MAX_RETRY_AFTER_SECS)
                await self._back_off(max(_backoff_secs(attempts), least))
            else:
                self._is_repeat = False
                self._succeed()
                return notes
        return self.position.notes

    async def _attempt(self, event: HookEvent) -> Notes:
        make, endpoint, notes, is_repeat = self._format, self._endpoint, self.position.notes, self._is_repeat
        self._queue.sending = True
        try:
            return await self._calls.run(lambda: make.deliver(event, endpoint, notes, is_repeat=is_repeat))
        except DeliveryFailed:
            raise
        except CallHangs as error:
            raise DeliveryFailed(str(error)) from None
        except Exception as error:
            # An unexpected error for one event must not stop the later events.
            logger.exception("a hook event could not be delivered")
            raise DeliveryFailed(f"{type(error).__name__}", is_refused=True) from error
        finally:
            self._queue.sending = False

    async def _back_off(self, secs: float) -> None:
        try:
            async with asyncio.timeout(secs):
                await self._reconfigured.wait()
        except TimeoutError:
            return

    def _succeed(self) -> None:
        self.results["delivered"] += 1
        if self.failing_since is not None:
            secs = round(self._clock.monotonic() - self.failing_since, 1)
            logger.warning("hook_back", extra={"fields": {"hook": self.config.name, "failed_secs": secs}})
            self.failing_since = None
            self._logged_at.pop("hook_failed", None)

    def _fail(self, event: HookEvent, error: DeliveryFailed) -> None:
        self.results["retried"] += 1
        if self.failing_since is None:
            self.failing_since = self._clock.monotonic()
        self._log("hook_failed", {"event_name": event.name, "error": str(error), "pending": self.pending})

    def _give_up(self, event: HookEvent, error: DeliveryFailed) -> None:
        self.results["dropped"] += 1
        fields = {"hook": self.config.name, "event_name": event.name, "id": event.id, "error": str(error)}
        logger.error("hook_event_refused", extra={"fields": fields})

    def _count_dropped(self, count: int) -> None:
        if count:
            self.results["dropped"] += count
            self._log("hook_events_dropped", {"max_pending": self.config.max_pending})

    def _log(self, message: str, fields: dict[str, object]) -> None:
        """Log an error of the hook, each kind at most once in ten minutes."""
        now = self._clock.monotonic()
        last = self._logged_at.get(message)
        if last is None or now - last >= _LOG_AGAIN_SECS:
            self._logged_at[message] = now
            logger.error(message, extra={"fields": {"hook": self.config.name, **fields}})


def _backoff_secs(attempts: int) -> float:
    ceiling = min(_MAX_BACKOFF_SECS, _FIRST_BACKOFF_SECS * 2.0 ** min(attempts, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads out retries
