"""One timer for all times at which scope records change by time alone."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable

from sidecar.clock import Clock
from sidecar.supervision import Failures

_MAX_SLEEP_SECS = 1.0
"""The longest sleep of the timer: deadlines are in wall time, and wall time can jump."""

_BATCH_SIZE = 100
"""The most scopes that are taken from the heap before other work runs."""


class ExpiryTimer:
    """Calls back with the scopes whose deadline has passed.

    Args:
        loop: runs the timer.
        clock: its wall time is used for deadlines.
        on_due: called with the scopes that are due. Schedule each again for its next deadline.
        failures: counts and logs the exceptions of ``on_due``, which is called again after a second.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        on_due: Callable[[tuple[str, ...]], None],
        failures: Failures,
    ) -> None:
        self._failures = failures
        self._loop = loop
        self._clock = clock
        self._on_due = on_due
        self._when: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = math.inf

    def schedule(self, scope: str, when: float | None) -> None:
        """Set the deadline of ``scope`` to ``when``, in wall time; None: it has no deadline."""
        if when is None:
            self._when.pop(scope, None)
        elif self._when.get(scope) != when:
            self._when[scope] = when
            heapq.heappush(self._heap, (when, scope))
            if len(self._heap) > 2 * len(self._when) + 64:
                # Each change of a deadline leaves an obsolete entry in the heap.
                self._heap = [(at, one) for one, at in self._when.items()]
                heapq.heapify(self._heap)
            if when < self._armed_for:
                self._arm()

    def stop(self) -> None:
        """Stop the timer."""
        self._when.clear()
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _ in range(_BATCH_SIZE):
            if not self._heap or self._when.get(self._heap[0][1]) == self._heap[0][0]:
                break
            heapq.heappop(self._heap)
        self._armed_for = self._heap[0][0] if self._heap else math.inf
        if self._heap:
            delay = self._armed_for - self._clock.now()
            self._timer = self._loop.call_later(min(max(delay, 0.0), _MAX_SLEEP_SECS), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.now()
        due: list[str] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _BATCH_SIZE:
            when, scope = heapq.heappop(self._heap)
            if self._when.get(scope) == when:
                del self._when[scope]
                due.append(scope)
        self._arm()
        if due:
            try:
                self._on_due(tuple(due))
            except Exception:  # noqa: BLE001 - recorded with its traceback
                self._failures.record("expiry_timer")
                for scope in due:
                    self.schedule(scope, now + _MAX_SLEEP_SECS)
