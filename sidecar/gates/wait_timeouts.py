"""The ends of waits: one timer for all of them.

Waits are gathered in buckets of a hundredth of a second, rounded up, so that none runs out early and none
later than one bucket. Adding and discarding cost a dictionary entry; the loop knows one timer, that of the
next bucket. Where thousands of waits run out together, a few milliseconds of them are ended at a time.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable

from sidecar.supervision import Failures
from sidecar.time_slice import TimeSlice

from .gate import Waiter

_PER_SEC = 100
_SLICE_SECS = 0.001


class WaitTimeouts:
    """Calls back for each waiter whose time has come.

    Args:
        loop: whose time counts.
        expired: called with the waiter, which is no longer among the timeouts.
        failures: counts and logs what ``expired`` raises.
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
        """Forget ``waiter``."""
        bucket = self._buckets.get(waiter.tick)
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
        # The loop may call a little before its time; what is due by the timer's own tick is due.
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
            # Its wait may have ended meanwhile, and its connection may wait for something else.
            if waiter.gate is not None and waiter.tick == tick:
                try:
                    self._expired(waiter)
                except Exception:  # noqa: BLE001 - recorded; the other waits end all the same
                    self._failures.record("wait_timeouts")
            if self._due and time_slice.expired:
                self._loop.call_soon(self._end_due)
                return
