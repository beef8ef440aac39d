"""The timeouts of all waits, with one timer.

Waits are grouped into buckets of a hundredth of a second, rounded up. So no wait times out early, or later
than one bucket. Adding and discarding cost one dictionary entry. The loop has one timer, for the next bucket.
When thousands of waits time out together, they end in short time slices.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable

from sidecar.supervision import Failures
from sidecar.time_slice import TimeSlice

from .gate import Waiter

_PER_SEC = 100
_SLICE_SECS = 0.001


class WaitTimeouts:
    """Calls back for each waiter whose wait has timed out.

    Args:
        loop: the event loop, whose time is used.
        expired: called with the waiter, after its timeout is removed.
        failures: counts and logs the exceptions of ``expired``.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, expired: Callable[[Waiter], None], failures: Failures
    ) -> None:
        self._failures = failures
        self._loop = loop
        self._expired = expired
        self._buckets: dict[int, dict[Waiter, None]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = 0
        self._due: deque[tuple[int, Waiter]] = deque()

    def add(self, waiter: Waiter, when: float) -> None:
        """Call back for ``waiter`` at ``when``, by the loop's time."""
        tick = math.ceil(when * _PER_SEC)
        waiter.tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {waiter: None}
            heapq.heappush(self._ticks, tick)
            if self._timer is None or tick < self._timer_tick:
                self._arm()
        else:
            bucket[waiter] = None

    def discard(self, waiter: Waiter) -> None:
        """Remove the timeout of ``waiter``."""
        bucket = self._buckets.get(waiter.tick)
        if bucket is not None:
            bucket.pop(waiter, None)

    def discard_all(self, waiters: Iterable[Waiter]) -> None:
        """Remove the timeouts of ``waiters``."""
        buckets = self._buckets
        for waiter in waiters:
            bucket = buckets.get(waiter.tick)
            if bucket is not None:
                bucket.pop(waiter, None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._ticks and not self._buckets[self._ticks[0]]:
            del self._buckets[heapq.heappop(self._ticks)]
        if self._ticks:
            self._timer_tick = self._ticks[0]
            self._timer = self._loop.call_at(self._timer_tick / _PER_SEC, self._fire)

    def _fire(self) -> None:
        self._timer = None
        # The loop may call slightly early. Everything up to the timer's own tick is due.
        now = max(math.floor(self._loop.time() * _PER_SEC), self._timer_tick)
        busy = bool(self._due)
        while self._ticks and self._ticks[0] <= now:
            tick = heapq.heappop(self._ticks)
            self._due.extend((tick, waiter) for waiter in self._buckets.pop(tick))
        self._arm()
        if not busy:
            self._end_due()

    def _end_due(self) -> None:
        time_slice = TimeSlice(_SLICE_SECS, _SLICE_SECS)
        while self._due:
            tick, waiter = self._due.popleft()
            # The wait may have ended meanwhile, and the connection may have begun another wait.
            if waiter.gate is not None and waiter.tick == tick:
                try:
                    self._expired(waiter)
                except Exception:  # noqa: BLE001 - recorded; the other waits still end
                    self._failures.record("wait_timeouts")
            if self._due and time_slice.expired:
                self._loop.call_soon(self._end_due)
                return
