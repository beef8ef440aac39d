"""Runs asynchronous tests, and waits in them."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine

DEADLINE_SECS = 30.0


def in_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that runs the coroutine function ``test`` in an event loop."""

    @functools.wraps(test)
    def run(*args: object, **fixtures: object) -> None:
        asyncio.run(test(*args, **fixtures))

    return run


async def until(condition: Callable[[], object], what: str = "", secs: float = DEADLINE_SECS) -> None:
    """Wait until ``condition`` returns a true value. Fails after ``secs`` seconds."""
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, f"not within {secs:g} s: {what}"
        await asyncio.sleep(0.001)
