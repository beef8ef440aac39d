"""Those who wait at a client's copy of a gate, and when each of them goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

_A = TypeVar("_A")


class Ticket:
    """One who waits.

    Attributes:
        due: monotonic time when it goes; None: the gate is closed.
        loop: a task's.
        future: what the task waits for.
    """

    __slots__ = ("due", "future", "loop")

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, future: asyncio.Future[None] | None = None
    ) -> None:
        self.due: float | None = None
        self.loop = loop
        self.future = future

    @property
    def is_due(self) -> bool:
        """Whether it goes, by now."""
        return self.due is not None and self.due <= time.monotonic()

    @property
    def outcome(self) -> str:
        """How its wait has ended; behind a ramp at an open gate nobody is refused."""
        return "timed_out" if self.due is None else "waited"


class Tickets:
    """Of one gate, first come first; its lock is held by whoever calls."""

    def __init__(self) -> None:
        self._all: dict[Ticket, None] = {}
        self._listeners: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def add(self, ticket: Ticket) -> None:
        """One more waits."""
        self._all[ticket] = None

    def remove(self, ticket: Ticket) -> None:
        """It waits no longer; one that is unknown is none the less."""
        self._all.pop(ticket, None)

    def listen(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        """A task of ``loop`` wants to know when anything is known."""
        self._listeners[future] = loop

    def forget(self, future: asyncio.Future[None]) -> None:
        """It wants to no longer."""
        self._listeners.pop(future, None)

    def let_through(self, per_sec: float) -> None:
        """Say to each when it goes, so many a second (0: all at once); from then on nothing keeps it."""
        now = time.monotonic()
        for rank, ticket in enumerate(self._all):
            ticket.due = now + rank / per_sec if per_sec else now

    def keep(self) -> None:
        """The gate has closed: whoever is not due yet stays."""
        for ticket in self._all:
            if not ticket.is_due:
                ticket.due = None

    def wake(self) -> None:
        """Have the tasks among them, and those who listen, look again."""
        listeners, self._listeners = self._listeners, {}
        for future, loop in listeners.items():
            _call(loop, finish, future)
        tasks: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
        for ticket in self._all:
            if ticket.due is not None and ticket.loop is not None:
                tasks.setdefault(ticket.loop, []).append(ticket)
        for loop, tickets in tasks.items():
            if not _call(loop, _look, tickets):
                # That loop is closed, and with it whoever waited in it.
                for ticket in tickets:
                    self.remove(ticket)


def finish(future: asyncio.Future[None]) -> None:
    """Give ``future`` its result, unless it has one, or was cancelled."""
    if not future.done():
        future.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[_A], None], argument: _A) -> bool:
    """Have ``function`` called in ``loop``; false: that is closed."""
    try:
        loop.call_soon_threadsafe(function, argument)
    except RuntimeError:
        return False
    return True


def _look(tickets: list[Ticket]) -> None:
    """In their loop: those who are due go, the others are looked at again when they are."""
    for ticket in tickets:
        due, loop, future = ticket.due, ticket.loop, ticket.future
        if due is None or loop is None or future is None or future.done():
            continue
        if ticket.is_due:
            finish(future)
        else:
            loop.call_later(max(0.0, due - time.monotonic()), _look, [ticket])
