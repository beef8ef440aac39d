"""A local copy of a sidecar's gate. A check of an open gate reads one byte.

A thread follows the gate and updates a flag. A request that meets a closed gate is parked in this process: a
thread waits on a condition, a task on a future. When the gate opens, one event for each event loop wakes all
of them.
"""

from __future__ import annotations

import asyncio
import atexit
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from .closing import CLOSE_BUDGET
from .fork_safety import PerProcess, flag_cleared_by_fork
from .gate_follower import GateFollower
from .gate_poller import GatePoller
from .guarded import guarded
from .health import Health
from .notifier import Callback
from .settings import Settings
from .snapshot import GateSnapshot
from .waiter_queue import PRIORITIES

_P = ParamSpec("_P")
_T = TypeVar("_T")

DEFAULT_PRIORITY = 5

_NO_ASYNCIO = (
    "wait_async needs a running asyncio event loop, and there is none here. Under trio, wait in a thread: "
    "await trio.to_thread.run_sync(gate.wait)"
)


class Gate:
    """The gate of one scope, as a worker sees it.

    Safe with threads, asyncio, gevent (monkey-patched) and forks: a child follows the gate by itself, asks
    the sidecar before its first request passes, and has its own counts. Pickling and copying keep the
    settings only. Keyword arguments are those of `Settings`. The environment provides the missing ones.

    Args:
        url: the URL of the sidecar: ``http://HOST:PORT``, ``https://…`` or ``unix:/path``.

    Raises:
        ValueError: an argument or a variable is not allowed.
        TypeError: there is no such setting.
    """

    def __init__(self, url: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - see Settings
        self._set_up(Settings.of({"url": url, **settings}))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Create a gate from complete settings. The environment is not used."""
        gate = cls.__new__(cls)
        gate._set_up(settings)  # noqa: SLF001 - of this class
        return gate

    def _set_up(self, settings: Settings) -> None:
        self.settings = settings
        self._callbacks: list[Callback] = []
        self._closed = False
        # 1: requests pass. A fork clears the flag in the child, so that the child's requests take the slow
        # path.
        self._flag = flag_cleared_by_fork()
        self._on_asyncio = False
        self._followers = PerProcess(self._make_follower, self._start_follower)
        counts = self._followers.get().counts
        self._pass: Callable[[], int] = counts.passed
        self._succeed: Callable[[], int] = counts.succeeded
        _register(self)

    def _make_follower(self) -> GateFollower:
        return GateFollower(self.settings, self._flag, self._callbacks)

    def _start_follower(self, follower: GateFollower) -> None:
        self._pass = follower.counts.passed
        self._succeed = follower.counts.succeeded
        if self._closed:
            follower.close()
        else:
            follower.start()

    # -- waiting ----------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether requests pass; while the state is unknown, the setting ``unreachable`` decides."""
        if self._flag[0] == 1:
            return True
        follower = self._followers.get()
        follower.refresh()
        return follower.is_open

    def wait(self, timeout: float | None = None, *, priority: int = DEFAULT_PRIORITY) -> None:
        """Return once the gate is open, or this request may pass a restricted gate.

        While the state is unknown, after the start and after a fork, it waits for the sidecar's first answer,
        for 2 seconds even if ``timeout`` is shorter.

        Args:
            timeout: seconds to wait at most; None: ``wait_secs``; 0: do not wait.
            priority: 0 to 9; where requests pass at a rate, a higher one goes first.

        Raises:
            InferencePaused: the wait timed out.
            ValueError: there is no such priority.
        """
        if self._flag[0]:
            self._pass()
            return
        self.enter(timeout, priority)

    def enter(self, timeout: float | None = None, priority: int = DEFAULT_PRIORITY) -> str:
        """Like `wait`; return the trial in which the request passes, for `record_outcome`; empty: none."""
        if self.pass_if_open():
            return ""
        return self._followers.get().wait(timeout, check_priority(priority))

    async def wait_async(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - as `wait`
        *,
        priority: int = DEFAULT_PRIORITY,
    ) -> None:
        """Like `wait`, without blocking the event loop.

        Raises:
            InferencePaused: the wait timed out.
            RuntimeError: no asyncio event loop runs.
            ValueError: there is no such priority.
        """
        if self._flag[0] and self._on_asyncio:
            self._pass()
            return
        await self.enter_async(timeout, priority)

    async def enter_async(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - as `wait`
        priority: int = DEFAULT_PRIORITY,
    ) -> str:
        """Like `wait_async`; return the trial in which the request passes; empty: none."""
        require_asyncio()
        self._on_asyncio = True
        if self.pass_if_open():
            return ""
        return await self._followers.get().wait_async(timeout, check_priority(priority))

    def record_outcome(self, *, succeeded: bool, trial: str = "") -> None:
        """Count whether an admitted request succeeded.

        `admitted` and the middlewares call it. The outcomes of a trial decide whether the gate opens.

        Args:
            succeeded: whether it succeeded.
            trial: what `enter` or `enter_async` returned.
        """
        if succeeded and not trial and self._flag[0]:
            # If the flag is set, this is the follower's process. Reading the process id would take a system
            # call.
            self._succeed()
            return
        self._followers.get().record_outcome(succeeded=succeeded, trial=trial)

    def pass_if_open(self) -> bool:
        """If the gate is known to be open, count a request that passes; return whether it is open."""
        if self._flag[0]:
            self._pass()
            return True
        return False

    def admitted(self, timeout: float | None = None, *, priority: int = DEFAULT_PRIORITY) -> Admission:
        """A context manager for ``with`` and ``async with``. It enters the block once the request may pass.

        A block that raises an exception counts as a failed request, every other block as a successful one.
        `Admission.failed` of the ``as`` value overrides that.
        """
        return Admission(self, timeout, check_priority(priority))

    def guard(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Decorate a function: each call runs as in the block of `admitted`, and counts like it.

        Coroutine functions, generator functions and asynchronous generator functions may be decorated, too. A
        generator waits when its first item is requested.
        """
        return guarded(function, self.admitted)

    # -- state ------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> GateSnapshot | None:
        """The last snapshot from the sidecar; None: there was none, or it is too old."""
        follower = self._followers.get()
        follower.refresh()
        return follower.snapshot

    @property
    def health(self) -> Health:
        """The state of the connection to the sidecar."""
        follower = self._followers.get()
        if self._closed:
            last = follower.poller.health
            return replace(last, reachable=None, since=time.time(), error="closed", fallback=True)
        follower.refresh()
        return follower.poller.health

    @property
    def counts(self) -> dict[str, int]:
        """Counts since this process began.

        ``requests``, ``blocked``, ``waited``, ``timed_out``, ``abandoned``; and the recorded outcomes,
        ``succeeded`` and ``failed``.
        """
        return self._followers.get().counts.read()

    def on_change(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` at each change, with whether the gate is open and its snapshot.

        It is called in a separate thread. Its exceptions are logged.

        Returns:
            A function that removes the callback.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def close(self) -> None:
        """Stop following the gate: admit all waiters and all later requests, and send a last report.

        If the sidecar does not answer, this takes 3 seconds at most, for all gates of the process together.
        """
        close_all([self])

    def begin_close(self) -> GateFollower | None:
        """Close without waiting for the last report. Returns the follower of this process, if any."""
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
        """Pickle and copy the settings only. The copy is a separate gate without callbacks."""
        return type(self).of, (self.settings,)

    # -- the follower of this process -------------------------------------------------------------

    @property
    def _lock(self) -> Any:  # noqa: ANN401 - of threading
        return self._followers.get().lock

    @property
    def _decided(self) -> Any:  # noqa: ANN401 - of threading
        return self._followers.get().decided

    @property
    def _poller(self) -> GatePoller:
        return self._followers.get().poller


class Admission:
    """The context manager that `Gate.admitted` returns."""

    __slots__ = ("_failed", "_gate", "_priority", "_timeout", "_trial")

    def __init__(self, gate: Gate, timeout: float | None, priority: int) -> None:
        self._gate = gate
        self._timeout = timeout
        self._priority = priority
        self._trial = ""
        self._failed = False

    def failed(self) -> None:
        """The request failed, although the block will not raise an exception."""
        self._failed = True

    def __enter__(self) -> Self:
        self._trial = self._gate.enter(self._timeout, self._priority)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kind)

    async def __aenter__(self) -> Self:
        self._trial = await self._gate.enter_async(self._timeout, self._priority)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kind)

    def _end(self, kind: type[BaseException] | None) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # The block was cancelled or interrupted, which says nothing about the engine.
            return
        self._gate.record_outcome(succeeded=kind is None and not self._failed, trial=self._trial)


def check_priority(priority: int) -> int:
    """Check a priority.

    Raises:
        ValueError: ``priority`` is not a whole number from 0 to 9.
    """
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority < PRIORITIES:
        raise ValueError(f"priority: must be a whole number from 0 to 9, got {priority!r}")
    return priority


def require_asyncio() -> None:
    """Check that the caller runs in an asyncio event loop.

    Raises:
        RuntimeError: no asyncio event loop runs. The message names the remedy.
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
            follower.poller.join(max(0.0, deadline - time.monotonic()))
    CLOSE_BUDGET.spend(time.monotonic() - began)


# By gate id. Changes are atomic in the interpreter, so no lock can be held during a fork.
_GATES: dict[int, weakref.ref[Gate]] = {}


def _register(gate: Gate) -> None:
    key = id(gate)
    _GATES[key] = weakref.ref(gate, lambda _: _GATES.pop(key, None))


@atexit.register
def _close_at_exit() -> None:
    close_all([gate for gate in (ref() for ref in list(_GATES.values())) if gate is not None])


__all__ = ["DEFAULT_PRIORITY", "Admission", "Gate", "check_priority", "close_all", "require_asyncio"]
