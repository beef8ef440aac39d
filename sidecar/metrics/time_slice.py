"""How long work may keep the loop, before all others have their turn."""

from __future__ import annotations

import asyncio
import time

_LEAST_SECS = 0.00001
_MOST_SECS = 0.001
_SHARE = 0.25


class TimeSlice:
    """Lets the loop do something else now and then.

    Work goes on for ten microseconds, or a quarter of what all others last took if that is longer, up to a
    millisecond: where the gate is never idle, the work comes to an end all the same.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.perf_counter() + _LEAST_SECS

    @property
    def expired(self) -> bool:
        """Whether somebody else is due."""
        return time.perf_counter() > self._until

    async def let_others_run(self) -> None:
        """Let all others have their turn first."""
        left = time.perf_counter()
        await asyncio.sleep(0)
        back = time.perf_counter()
        self._until = back + min(max(_LEAST_SECS, (back - left) * _SHARE), _MOST_SECS)
