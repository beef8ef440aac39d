"""How long work may hold the event loop before other work has its turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

_LEAST_SECS = 0.00001
_MOST_SECS = 0.001
_SHARE = 0.25


class TimeSlice:
    """A bound in time on work in the event loop.

    The first slice is the least. A later one is a quarter of the time that all other work last took, within
    the least and the most: so the work comes to an end even if the loop is never idle.

    Args:
        least: seconds.
        most: seconds.
    """

    __slots__ = ("_least", "_most", "_until")

    def __init__(self, least: float = _LEAST_SECS, most: float = _MOST_SECS) -> None:
        self._least = least
        self._most = most
        self._until = time.perf_counter() + least

    @property
    def expired(self) -> bool:
        """Whether the current time slice has run out."""
        return time.perf_counter() > self._until

    async def yield_to_others(self) -> None:
        """Let all other work have its turn, then begin the next slice."""
        left = time.perf_counter()
        await asyncio.sleep(0)
        back = time.perf_counter()
        self._until = back + min(max(self._least, (back - left) * _SHARE), self._most)


async def run_in_slices(steps: Iterable[None], time_slice: TimeSlice) -> None:
    """Do all ``steps``; whenever ``time_slice`` has run out, other work has its turn first.

    Args:
        steps: each takes well under a millisecond.
        time_slice: may be shared by several calls that follow each other.
    """
    for _ in steps:
        if time_slice.expired:
            await time_slice.yield_to_others()
