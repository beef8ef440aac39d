"""An event loop in simulated time, for tests of timers."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop in simulated time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._heap: list = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., None], *args: Any) -> Handle:
        handle = Handle()
        heapq.heappush(self._heap, (when, next(self._numbers), handle, call, args))
        return handle

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> Handle:
        return self.call_at(self.now + delay, call, *args)

    def call_soon(self, call: Callable[..., None], *args: Any) -> Handle:
        return self.call_at(self.now, call, *args)

    def run(self, secs: float, late: float = 0.0) -> None:
        """Let ``secs`` pass; every timer fires ``late`` seconds after its time."""
        end = self.now + secs
        while self._heap and self._heap[0][0] + late <= end:
            when, _, handle, call, args = heapq.heappop(self._heap)
            self.now = max(self.now, when + late)
            if not handle.cancelled:
                call(*args)
        self.now = end
