"""Blocking calls: a call that hangs blocks neither the loop nor the next attempt for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from sidecar.blocking_calls import BlockingCalls, CallHangs


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def test_a_thread_returns_the_result_or_raises_the_exception() -> None:
    async def test() -> None:
        calls = BlockingCalls(asyncio.get_running_loop(), "engine", 30)
        assert await calls.run(lambda: threading.current_thread().name) == "engine"
        with pytest.raises(ZeroDivisionError):
            await calls.run(lambda: 1 // 0)

    run(test)


def test_a_call_that_hangs_times_out_and_later_calls_fail_until_it_ends() -> None:
    async def test() -> None:
        calls = BlockingCalls(asyncio.get_running_loop(), "engine", 0.05)
        end = threading.Event()
        with pytest.raises(CallHangs, match="no answer within"):
            await calls.run(end.wait)
        with pytest.raises(CallHangs, match="still hangs"):
            await calls.run(lambda: 1)
        assert sum(thread.name == "engine" for thread in threading.enumerate()) == 1
        end.set()
        assert await BlockingCalls(asyncio.get_running_loop(), "engine", 30).run(lambda: 2) == 2
        last = calls._last
        await asyncio.wait({last})
        assert await calls.run(lambda: 3) == 3

    run(test)


def test_a_thread_that_hangs_is_a_daemon_and_survives_the_loop() -> None:
    end = threading.Event()

    async def test() -> None:
        calls = BlockingCalls(asyncio.get_running_loop(), "hanging", 0.01)
        with pytest.raises(CallHangs):
            await calls.run(end.wait)

    run(test)
    thread = next(thread for thread in threading.enumerate() if thread.name == "hanging")
    assert thread.daemon
    end.set()
    thread.join(30)
    assert not thread.is_alive()
