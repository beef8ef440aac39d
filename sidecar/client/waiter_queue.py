"""The requests that wait at a client's copy of a gate, and when each is released."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

_A = TypeVar("_A")


class LocalWaiter:
    """One request that waits: a thread, or a task of an event loop.

    Attributes:
        began: monotonic time when the wait began.
        due: monotonic time when it is released; None: the gate is closed.
        ended: whether its wait is over and counted.
        loop: the task's event loop; None: it is a thread.
        future: the future that the task waits for.
    """

    __slots__ = ("began", "due", "ended", "future", "loop")

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, future: asyncio.Future[None] | None = None
    ) -> None:
        self.began = time.monotonic()
        self.due: float | None = None
        self.ended = False
        self.loop = loop
        self.future = future

    @property
    def is_due(self) -> bool:
        """Whether its release time has come."""
        return self.due is not None and self.due <= time.monotonic()

    @property
    def outcome(self) -> str:
        """How its wait has ended. At an open gate with a ramp, no wait times out."""
        return "timed_out" if self.due is None else "waited"


class WaiterQueue:
    """The waiters of one gate, in order of arrival. The caller holds the gate's lock."""

    def __init__(self) -> None:
        self._waiters: dict[LocalWaiter, None] = {}
        self._listeners: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def __iter__(self) -> Iterator[LocalWaiter]:
        """The waiters at this moment, in order."""
        return iter(list(self._waiters))

    def add(self, waiter: LocalWaiter) -> None:
        """Append ``waiter``."""
        self._waiters[waiter] = None

    def remove(self, waiter: LocalWaiter) -> None:
        """Remove ``waiter``, if it is there."""
        self._waiters.pop(waiter, None)

    def add_listener(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        """Set the result of ``future``, which belongs to ``loop``, at the next `wake`."""
        self._listeners[future] = loop

    def remove_listener(self, future: asyncio.Future[None]) -> None:
        """Undo `add_listener`."""
        self._listeners.pop(future, None)

    def schedule_release(self, per_sec: float) -> None:
        """Set the release time of each waiter: ``per_sec`` waiters per second (0: all at once)."""
        now = time.monotonic()
        for rank, waiter in enumerate(self._waiters):
            waiter.due = now + rank / per_sec if per_sec else now

    def cancel_release(self) -> None:
        """The gate has closed: keep every waiter that is not due yet."""
        for waiter in self._waiters:
            if not waiter.is_due:
                waiter.due = None

    def wake(self) -> list[LocalWaiter]:
        """Wake the waiting tasks and the listeners.

        Returns:
            Waiters whose event loop is closed, so that they cannot be woken.
        """
        listeners, self._listeners = self._listeners, {}
        for future, loop in listeners.items():
            _call(loop, finish, future)
        tasks: dict[asyncio.AbstractEventLoop, list[LocalWaiter]] = {}
        for waiter in self._waiters:
            if waiter.due is not None and waiter.loop is not None:
                tasks.setdefault(waiter.loop, []).append(waiter)
        gone: list[LocalWaiter] = []
        for loop, waiters in tasks.items():
            if not _call(loop, _finish_due, waiters):
                gone += waiters
        return gone


def finish(future: asyncio.Future[None]) -> None:
    """Give ``future`` its result, unless it has one or was cancelled."""
    if not future.done():
        future.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[_A], None], argument: _A) -> bool:
    """Call ``function`` in ``loop``; False: the loop is closed."""
    try:
        loop.call_soon_threadsafe(function, argument)
    except RuntimeError:
        return False
    return True


def _finish_due(waiters: list[LocalWaiter]) -> None:
    """Runs in the waiters' loop: release the due waiters, and check the others when they are due."""
    for waiter in waiters:
        due, loop, future = waiter.due, waiter.loop, waiter.future
        if due is None or loop is None or future is None or future.done():
            continue
        if waiter.is_due:
            finish(future)
        else:
            loop.call_later(max(0.0, due - time.monotonic()), _finish_due, [waiter])
