"""The requests that wait at a client's copy of a gate, and which of them may pass."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TypeVar

_A = TypeVar("_A")

PRIORITIES = 10
"""Priorities are 0 to 9; a higher one goes first if the rate is limited."""


class LocalWaiter:
    """One request that waits: a thread, or a task of an event loop.

    Attributes:
        priority: 0 to 9.
        began: monotonic time when the wait began.
        released: the request may pass.
        trial: the id of the trial in which it passes; empty: none.
        ended: whether its wait is over and counted.
        changed: notified when it is released; None: it is a task.
        loop: the task's event loop; None: it is a thread.
        future: the future that the task waits for.
    """

    __slots__ = ("began", "changed", "ended", "future", "loop", "priority", "released", "trial")

    def __init__(
        self,
        priority: int,
        changed: threading.Condition | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        future: asyncio.Future[None] | None = None,
    ) -> None:
        self.priority = priority
        self.began = time.monotonic()
        self.released = False
        self.trial = ""
        self.ended = False
        self.changed = changed
        self.loop = loop
        self.future = future


class WaiterQueue:
    """The waiters of one gate, by priority and in order of arrival. The caller holds the gate's lock."""

    def __init__(self) -> None:
        self._parked: list[dict[LocalWaiter, None]] = [{} for _ in range(PRIORITIES)]
        self._released: dict[LocalWaiter, None] = {}
        self._listeners: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def __iter__(self) -> Iterator[LocalWaiter]:
        """All current waiters: released waiters first, then by priority and arrival."""
        return iter([*self._released, *chain.from_iterable(reversed(self._parked))])

    @property
    def parked(self) -> list[int]:
        """How many waiters are not released, by priority."""
        return [len(waiters) for waiters in self._parked]

    def add(self, waiter: LocalWaiter) -> None:
        """Append ``waiter``."""
        self._parked[waiter.priority][waiter] = None

    def remove(self, waiter: LocalWaiter) -> None:
        """Remove ``waiter``, if it is there."""
        self._parked[waiter.priority].pop(waiter, None)
        self._released.pop(waiter, None)

    def add_listener(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        """Set the result of ``future``, which belongs to ``loop``, when the state of the gate is known."""
        self._listeners[future] = loop

    def remove_listener(self, future: asyncio.Future[None]) -> None:
        """Undo `add_listener`."""
        self._listeners.pop(future, None)

    def notify_listeners(self) -> None:
        """Set the results of the listeners, because the state of the gate is known."""
        listeners, self._listeners = self._listeners, {}
        for future, loop in listeners.items():
            _call(loop, finish, future)

    def release(self, most: int | None = None, trial: str = "") -> list[LocalWaiter]:
        """Release waiters, the highest priority first, and wake them.

        Args:
            most: how many at most; None: all.
            trial: the id of the trial in which they pass.

        Returns:
            Waiters whose event loop is closed, so that they cannot be woken.
        """
        chosen = list(islice(chain.from_iterable(reversed(self._parked)), most))
        tasks: dict[asyncio.AbstractEventLoop, list[LocalWaiter]] = {}
        for waiter in chosen:
            del self._parked[waiter.priority][waiter]
            self._released[waiter] = None
            waiter.released = True
            waiter.trial = trial
            if waiter.loop is not None:
                tasks.setdefault(waiter.loop, []).append(waiter)
            elif waiter.changed is not None:
                waiter.changed.notify_all()
        gone: list[LocalWaiter] = []
        for loop, waiters in tasks.items():
            if not _call(loop, _finish_all, waiters):
                gone += waiters
        return gone


def finish(future: asyncio.Future[None]) -> None:
    """Set the result of ``future``, unless the future has a result or was cancelled."""
    if not future.done():
        future.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[_A], None], argument: _A) -> bool:
    """Call ``function`` in ``loop``; False: the loop is closed."""
    try:
        loop.call_soon_threadsafe(function, argument)
    except RuntimeError:
        return False
    return True


def _finish_all(waiters: list[LocalWaiter]) -> None:
    """Set the results of ``futures``. Runs in the waiters' event loop."""
    for waiter in waiters:
        if waiter.future is not None:
            finish(waiter.future)
