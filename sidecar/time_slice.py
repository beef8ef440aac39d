"""Time slices: limits how long work blocks the event loop before other work runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

_MIN_SECS = 0.00001
_MAX_SECS = 0.001
_SHARE = 0.25


class TimeSlice:
    """A limit of time for work in the event loop.

    The first slice has the minimum length. A later slice is a quarter of the time that other work took last,
    between the minimum and the maximum. So the work ends even if the loop is never idle.

    Args:
        min_secs: minimum length in seconds.
        max_secs: maximum length in seconds.
    """

    __slots__ = ("_max_secs", "_min_secs", "_until")

    def __init__(self, min_secs: float = _MIN_SECS, max_secs: float = _MAX_SECS) -> None:
        self._min_secs = min_secs
        self._max_secs = max_secs
        self._until = time.perf_counter() + min_secs

    @property
    def expired(self) -> bool:
        """Whether the current time slice has run out."""
        return time.perf_counter() > self._until

    async def yield_to_others(self) -> None:
        """Let other work in the loop run, then begin the next slice."""
        left = time.perf_counter()
        await asyncio.sleep(0)
        back = time.perf_counter()
        self._until = back + min(max(self._min_secs, (back - left) * _SHARE), self._max_secs)


async def run_in_slices(steps: Iterable[None], time_slice: TimeSlice) -> None:
    """Run all ``steps``. When ``time_slice`` has run out, other work in the loop runs first.

    Args:
        steps: each takes well under a millisecond.
        time_slice: several consecutive calls may share it.
    """
    for _ in steps:
        if time_slice.expired:
            await time_slice.yield_to_others()
