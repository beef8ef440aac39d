"""An event loop whose time passes only when no callback is ready, and clocks that use its time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable

from sidecar.clock import Clock


class _Selector(selectors.DefaultSelector):
    """Adds the timeout to the loop's time instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None):
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self.now += max(timeout, 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class VirtualClock(Clock):
    """The wall time is the loop's time after a fixed date."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return 1_800_000_000.0 + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()


def run_virtual(main: Callable[[], Awaitable[None]]) -> None:
    """Run ``main`` in a loop with virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
