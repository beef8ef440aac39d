"""A local copy of a sidecar's gate: a check of an open one costs no more than a look at an attribute.

A thread follows the gate and keeps `Gate._open` true or false. Whoever meets it false is parked here: a
thread on a condition, a task on a future. When the gate opens, all are woken by one event each loop.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from .counts import Counts
from .errors import InferencePaused, TooManyWaiting
from .link import Health, Link
from .settings import Settings
from .snapshot import Snapshot
from .tickets import Ticket, Tickets, finish

logger = logging.getLogger("wellbeing.client")

_P = ParamSpec("_P")
_T = TypeVar("_T")

Callback = Callable[[bool, Snapshot | None], None]


class Gate:
    """The gate of one scope, as a worker sees it.

    Safe for threads, asyncio, gevent (monkey-patched) and after a fork: a child follows the gate by itself,
    and counts for itself. Keyword arguments are those of `Settings`; what is not given comes from the
    environment.

    Args:
        url: of the sidecar: ``http://HOST:PORT``, ``https://…`` or ``unix:/path``.

    Raises:
        ValueError: an argument or a variable cannot be.
    """

    def __init__(self, url: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - see Settings
        unknown = settings.keys() - set(Settings.__slots__)
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        self.settings = Settings.of({"url": url, **settings})
        self._callbacks: list[Callback] = []
        self._closed = False
        self._begin(known=None)
        _GATES.add(self)

    def _begin(self, known: tuple[bool, Snapshot | None] | None) -> None:
        """Follow the gate; ``known``: what was known before a fork."""
        self._counts = Counts()
        self._pass = self._counts.passed
        self._lock = threading.Lock()
        self._decided = threading.Event()
        self._changed = threading.Condition(self._lock)
        self._tickets = Tickets()
        self._open, self._snapshot = known or (False, None)
        if known:
            self._decided.set()
        self._link: Link | None = Link(self.settings, self._counts, self._turn)

    # -- the question -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether requests pass; while nothing is known yet, what ``unreachable`` says."""
        if self._open:
            return True
        self._follow()
        return self._open or (not self._decided.is_set() and self.settings.unreachable == "open")

    def wait(self, timeout: float | None = None) -> None:
        """Return once the gate is open.

        Args:
            timeout: seconds to wait at most; None: ``wait_secs``; 0: do not wait.

        Raises:
            InferencePaused: it stayed closed.
        """
        if self._open:
            self._pass()
            return
        self._wait(timeout)

    async def wait_async(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as `wait`
        """`wait`, without keeping the event loop."""
        if self._open:
            self._pass()
            return
        await self._wait_async(timeout)

    def admitted(self, timeout: float | None = None) -> Admission:
        """For ``with`` and ``async with``: the block is entered once the gate is open."""
        return Admission(self, timeout)

    def guard(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Decorate a function, or a coroutine function, to be called once the gate is open."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:  # noqa: ANN401
                await self.wait_async()
                return await function(*args, **kwargs)

            return cast("Callable[_P, _T]", guarded_async)

        @functools.wraps(function)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            self.wait()
            return function(*args, **kwargs)

        return guarded

    # -- what is known ----------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot | None:
        """What the sidecar last said; None: nothing, or nothing that still counts."""
        return self._snapshot

    @property
    def health(self) -> Health:
        """How the link to the sidecar is."""
        self._follow()
        link = self._link
        if link is None:
            return Health(None, time.time(), "closed", fallback=True, snapshot=self._snapshot)
        return link.health

    @property
    def counts(self) -> dict[str, int]:
        """``requests``, ``blocked``, ``waited``, ``timed_out``, ``abandoned``, since this process began."""
        self._follow()
        return self._counts.read()

    def on_change(self, callback: Callback) -> Callable[[], None]:
        """Have ``callback`` called at each change, in the thread, with whether it is open and its snapshot.

        Returns:
            What to call to have it called no more.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def close(self) -> None:
        """Report once more and follow no longer; whoever waits is let through, as is whoever comes."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._turn(True, self._snapshot)
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        _GATES.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- at a closed gate -------------------------------------------------------------------------

    def _wait(self, timeout: float | None) -> None:
        deadline, secs = self._deadline(timeout)
        self._follow()
        self._decided.wait(max(0.0, deadline - time.monotonic()))
        ticket = Ticket()
        if not self._park(ticket):
            return
        outcome, began = "abandoned", time.monotonic()
        try:
            with self._changed:
                while not ticket.is_due and time.monotonic() < deadline:
                    until = deadline if ticket.due is None else min(deadline, ticket.due)
                    self._changed.wait(max(0.0, until - time.monotonic()))
            outcome = ticket.outcome
        finally:
            self._unpark(ticket, outcome, began)
        if outcome == "timed_out":
            raise self._paused(InferencePaused, secs)

    async def _wait_async(self, timeout: float | None) -> None:  # noqa: ASYNC109
        deadline, secs = self._deadline(timeout)
        self._follow()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        ticket = Ticket(loop, future)
        timer = loop.call_later(max(0.0, deadline - time.monotonic()), finish, future)
        try:
            if not self._decided.is_set():
                await self._first_word(loop, deadline)
            if not self._park(ticket):
                return
            outcome, began = "abandoned", time.monotonic()
            try:
                await future
                outcome = ticket.outcome
            finally:
                self._unpark(ticket, outcome, began)
        finally:
            timer.cancel()
        if outcome == "timed_out":
            raise self._paused(InferencePaused, secs)

    async def _first_word(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Return once something is known, or the time is up."""
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._decided.is_set():
                return
            self._tickets.listen(loop, future)
        timer = loop.call_later(max(0.0, deadline - time.monotonic()), finish, future)
        try:
            await future
        finally:
            timer.cancel()
            with self._lock:
                self._tickets.forget(future)

    def _park(self, ticket: Ticket) -> bool:
        """Whether to wait: the gate is closed, and there is room."""
        with self._lock:
            if self._open or (not self._decided.is_set() and self.settings.unreachable == "open"):
                self._pass()
                return False
            # From here on an opening is not missed.
            room = self._counts.block(self.settings.max_waiting)
            if room:
                self._tickets.add(ticket)
        if not room:
            raise self._paused(TooManyWaiting, 0.0)
        return True

    def _unpark(self, ticket: Ticket, outcome: str, began: float) -> None:
        with self._lock:
            self._tickets.remove(ticket)
        self._counts.end(outcome, time.monotonic() - began)

    def _deadline(self, timeout: float | None) -> tuple[float, float]:
        secs = self.settings.wait_secs if timeout is None else max(0.0, timeout)
        return time.monotonic() + secs, secs

    def _paused(self, kind: type[InferencePaused], waited: float) -> InferencePaused:
        snapshot = self._snapshot
        if snapshot is None:
            health = self.health
            reason = f"the wellbeing sidecar is unreachable: {health.error or 'no answer yet'}"
            return kind(reason, self.settings.scope, "unknown", 10, waited)
        reason = snapshot.reason or "the gate was closed"
        return kind(
            reason, snapshot.scope, snapshot.effective_state, snapshot.retry_after(time.time()), waited
        )

    # -- news -------------------------------------------------------------------------------------

    def _turn(self, is_open: bool, snapshot: Snapshot | None, ramp_per_sec: float = 0.0) -> None:  # noqa: FBT001
        """The gate is open, or closed; called in the link's thread."""
        with self._lock:
            if self._closed and not is_open:
                return
            self._snapshot = snapshot
            was_open, self._open = self._open, is_open
            self._decided.set()
            if is_open and not (was_open and ramp_per_sec):
                self._tickets.let_through(ramp_per_sec)
            elif not is_open:
                self._tickets.keep()
            self._changed.notify_all()
            self._tickets.wake()
        for callback in list(self._callbacks):
            try:
                callback(is_open, snapshot)
            except Exception:
                logger.exception("a callback of the wellbeing gate failed")

    # -- forks ------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """In a child of a fork, begin to follow: its parent's thread is not there."""
        if self._link is None and not self._closed:
            with _STARTING:
                if self._link is None:
                    self._begin(known=self._before_fork)

    def _forked(self) -> None:
        """In the child: nobody follows. The next who asks comes by the slow way, which begins to."""
        if self._closed:
            return
        self._before_fork = (self._open, self._snapshot) if self._decided.is_set() else None
        self._open = False
        self._link = None


class Admission:
    """What `Gate.admitted` returns."""

    __slots__ = ("_gate", "_timeout")

    def __init__(self, gate: Gate, timeout: float | None) -> None:
        self._gate = gate
        self._timeout = timeout

    def __enter__(self) -> None:
        self._gate.wait(self._timeout)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aenter__(self) -> None:
        await self._gate.wait_async(self._timeout)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


_GATES: weakref.WeakSet[Gate] = weakref.WeakSet()
_STARTING = threading.Lock()


def _after_fork() -> None:
    global _STARTING  # noqa: PLW0603 - the parent may have held it
    _STARTING = threading.Lock()
    for gate in list(_GATES):
        gate._forked()  # noqa: SLF001


@atexit.register
def _at_exit() -> None:
    for gate in list(_GATES):
        gate.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
