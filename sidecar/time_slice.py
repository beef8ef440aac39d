"""Time slices: limits how long work blocks the event loop before other work runs."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable, Iterable

_MIN_SECS = 0.00001
_MAX_SECS = 0.001
_SHARE = 0.25
_RELEASED_AT_ONCE = 64


class PendingInput:
    """Whether clients have sent something that the event loop has not read yet.

    The loop waits for its sockets with a file descriptor of its own, which is readable when one of them is.
    Checking it takes one microsecond; a pass of the loop takes ten.

    Args:
        loop: the event loop of uvloop or of asyncio. For any other loop, the result is always true.
    """

    __slots__ = ("_poll",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        number = _descriptor_of(loop)
        self._poll = None if number is None else select.poll()
        if self._poll is not None and number is not None:
            self._poll.register(number, select.POLLIN)

    def __call__(self) -> bool:
        """Whether there is input."""
        return self._poll is None or bool(self._poll.poll(0))


def _descriptor_of(loop: asyncio.AbstractEventLoop) -> int | None:
    find = getattr(loop, "_get_backend_id", None)
    selector = getattr(loop, "_selector", None)
    if find is None:
        find = getattr(selector, "fileno", None)
    number = None if find is None else find()
    return number if isinstance(number, int) and number >= 0 else None


class TimeSlice:
    """A limit of time for work in the event loop.

    The first slice has the minimum length. A later slice is a quarter of the time that other work took last,
    between the minimum and the maximum. So the work ends even if the loop is never idle.

    Args:
        min_secs: minimum length in seconds.
        max_secs: maximum length in seconds.
        pending: whether other work is waiting. A slice continues until other work waits, up to the maximum.
            None: a slice is never prolonged.
    """

    __slots__ = ("_check_at", "_max_secs", "_min_secs", "_pending", "_until")

    _check_at: float
    _until: float

    def __init__(
        self,
        min_secs: float = _MIN_SECS,
        max_secs: float = _MAX_SECS,
        pending: Callable[[], bool] | None = None,
    ) -> None:
        self._min_secs = min_secs
        self._max_secs = max_secs
        self._pending = pending
        self._begin(time.perf_counter(), min_secs)

    @property
    def expired(self) -> bool:
        """Whether the current time slice has run out."""
        now = time.perf_counter()
        if now <= self._check_at:
            return False
        if self._pending is None or now > self._until or self._pending():
            return True
        self._check_at = now + self._min_secs
        return False

    async def yield_to_others(self) -> None:
        """Let other work in the loop run, then begin the next slice."""
        left = time.perf_counter()
        await asyncio.sleep(0)
        back = time.perf_counter()
        self._begin(back, min(max(self._min_secs, (back - left) * _SHARE), self._max_secs))

    def _begin(self, now: float, secs: float) -> None:
        self._check_at = now + secs
        self._until = now + self._max_secs


async def run_in_slices(steps: Iterable[None], time_slice: TimeSlice) -> None:
    """Run all ``steps``. When ``time_slice`` has run out, other work in the loop runs first.

    Args:
        steps: each takes well under a millisecond.
        time_slice: several consecutive calls may share it.
    """
    for _ in steps:
        if time_slice.expired:
            await time_slice.yield_to_others()


def release_in_pieces(values: list[object]) -> None:
    """Empty ``values`` in pieces, so that other threads can run. Nothing else may refer to the elements.

    Releasing ten thousand alerts at once would block other threads for several milliseconds.
    """
    while values:
        del values[-_RELEASED_AT_ONCE:]
