"""A local copy of a sidecar's gate: asking an open one costs no more than a look at a byte.

A thread follows the gate and keeps a flag. A request that meets it closed is parked in this process: a thread
on a condition, a task on a future. When the gate opens, all are woken by one event for each event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from .closing import CLOSE_BUDGET
from .fork_safety import PerProcess, flag_cleared_by_fork
from .gate_follower import GateFollower
from .health import Health
from .link import Link
from .notifier import Callback
from .settings import Settings
from .snapshot import GateSnapshot

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NO_ASYNCIO = (
    "wait_async needs a running asyncio event loop, and there is none here. Under trio, wait in a thread: "
    "await trio.to_thread.run_sync(gate.wait)"
)


class Gate:
    """The gate of one scope, as a worker sees it.

    Safe for threads, asyncio, gevent (monkey-patched) and after a fork: a child follows the gate by itself,
    asks the sidecar before its first request passes, and counts for itself. It pickles and copies as its
    settings. Keyword arguments are those of `Settings`; what is not given comes from the environment.

    Args:
        url: of the sidecar: ``http://HOST:PORT``, ``https://…`` or ``unix:/path``.

    Raises:
        ValueError: an argument or a variable is not allowed.
        TypeError: there is no such setting.
    """

    def __init__(self, url: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - see Settings
        self._set_up(Settings.of({"url": url, **settings}))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A gate by settings that are complete: the environment is not looked at."""
        gate = cls.__new__(cls)
        gate._set_up(settings)  # noqa: SLF001 - of this class
        return gate

    def _set_up(self, settings: Settings) -> None:
        self.settings = settings
        self._callbacks: list[Callback] = []
        self._closed = False
        # 1: requests pass. A fork clears it in the child, whose requests then come to the slow path.
        self._flag = flag_cleared_by_fork()
        self._on_asyncio = False
        self._followers = PerProcess(self._make_follower, self._start_follower)
        self._pass: Callable[[], int] = self._followers.get().counts.passed
        _register(self)

    def _make_follower(self) -> GateFollower:
        return GateFollower(self.settings, self._flag, self._callbacks)

    def _start_follower(self, follower: GateFollower) -> None:
        self._pass = follower.counts.passed
        if self._closed:
            follower.close()
        else:
            follower.link.start()

    # -- the question -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether requests pass; while nothing is known yet, what ``unreachable`` says."""
        return self._flag[0] == 1 or self._followers.get().is_open

    def wait(self, timeout: float | None = None) -> None:
        """Return once the gate is open.

        While nothing is known yet, after the start and after a fork, the sidecar's first answer is awaited,
        for 2 seconds even where ``timeout`` is less.

        Args:
            timeout: seconds to wait at most; None: ``wait_secs``; 0: do not wait.

        Raises:
            InferencePaused: it stayed closed.
        """
        if self._flag[0]:
            self._pass()
            return
        self._followers.get().wait(timeout)

    async def wait_async(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as `wait`
        """`wait`, without holding up the event loop.

        Raises:
            InferencePaused: it stayed closed.
            RuntimeError: no asyncio event loop runs.
        """
        if self._flag[0] and self._on_asyncio:
            self._pass()
            return
        require_asyncio()
        self._on_asyncio = True
        if not self.pass_if_open():
            await self._followers.get().wait_async(timeout)

    def pass_if_open(self) -> bool:
        """Count a request that passes, where the gate is known to be open; whether it is."""
        if self._flag[0]:
            self._pass()
            return True
        return False

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
    def snapshot(self) -> GateSnapshot | None:
        """What the sidecar last said; None: nothing, or nothing that still counts."""
        return self._followers.get().snapshot

    @property
    def health(self) -> Health:
        """The state of the link to the sidecar."""
        follower = self._followers.get()
        if self._closed:
            last = follower.link.health
            return replace(last, reachable=None, since=time.time(), error="closed", fallback=True)
        return follower.link.health

    @property
    def counts(self) -> dict[str, int]:
        """``requests``, ``blocked``, ``waited``, ``timed_out``, ``abandoned``, since this process began."""
        return self._followers.get().counts.read()

    def on_change(self, callback: Callback) -> Callable[[], None]:
        """Have ``callback`` called at each change, with whether the gate is open and its snapshot.

        It is called in a thread that does nothing else. What it raises is logged.

        Returns:
            What to call to have it called no more.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def close(self) -> None:
        """Stop following: every waiter is let through, as is every later request, and a last report is sent.

        Takes 3 seconds at most where the sidecar does not answer, for all gates of the process together.
        """
        close_all([self])

    def begin_close(self) -> GateFollower | None:
        """Close without waiting for the last report; the part of this process, if there is any."""
        self._closed = True
        _GATES.pop(id(self), None)
        follower = self._followers.peek()
        if follower is not None:
            follower.close()
        return follower

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies as its settings: the copy is a gate of its own, without callbacks."""
        return type(self).of, (self.settings,)

    # -- this process' part -----------------------------------------------------------------------

    @property
    def _lock(self) -> Any:  # noqa: ANN401 - of threading
        return self._followers.get().lock

    @property
    def _decided(self) -> Any:  # noqa: ANN401 - of threading
        return self._followers.get().decided

    @property
    def _link(self) -> Link:
        return self._followers.get().link


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


def require_asyncio() -> None:
    """See that the caller runs in an asyncio event loop.

    Raises:
        RuntimeError: it does not, and what to do instead.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(_NO_ASYNCIO) from None


def close_all(gates: Iterable[Gate]) -> None:
    """Close ``gates`` together: their last reports are sent at the same time."""
    followers = [gate.begin_close() for gate in gates]
    began = time.monotonic()
    deadline = began + CLOSE_BUDGET.allowance()
    for follower in followers:
        if follower is not None:
            follower.link.join(max(0.0, deadline - time.monotonic()))
    CLOSE_BUDGET.spend(time.monotonic() - began)


# By the id of each gate; changed in single steps of the interpreter, so that no lock can be held over a fork.
_GATES: dict[int, weakref.ref[Gate]] = {}


def _register(gate: Gate) -> None:
    key = id(gate)
    _GATES[key] = weakref.ref(gate, lambda _: _GATES.pop(key, None))


@atexit.register
def _close_at_exit() -> None:
    close_all([gate for gate in (ref() for ref in list(_GATES.values())) if gate is not None])


__all__ = ["Admission", "Gate", "close_all", "require_asyncio"]
