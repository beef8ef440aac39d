"""A caller that waits for an operation gets the result or a timeout. The operation continues."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from harness.virtual_time import run_virtual
from sidecar.web.service import _result_within

Operation = Callable[[asyncio.Future[int]], Awaitable[int]]


async def as_coroutine(future: asyncio.Future[int]) -> int:
    return await asyncio.shield(future)


OPERATIONS: list[Operation] = [lambda future: future, as_coroutine]


@pytest.mark.parametrize("operation", OPERATIONS, ids=["a future", "a coroutine"])
def test_result_and_error_reach_the_caller(operation: Operation) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        loop.call_later(1, future.set_result, 7)
        assert await _result_within(30, operation(future), loop) == 7
        future = loop.create_future()
        loop.call_later(1, future.set_exception, KeyError("x"))
        with pytest.raises(KeyError):
            await _result_within(30, operation(future), loop)

    run_virtual(main)


@pytest.mark.parametrize("operation", OPERATIONS, ids=["a future", "a coroutine"])
def test_a_caller_is_told_when_the_time_is_over(operation: Operation) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        with pytest.raises(TimeoutError):
            await _result_within(30, operation(future), loop)
        assert loop.time() >= 30

    run_virtual(main)


def test_the_operation_goes_on_after_the_timeout_and_after_its_caller_was_cancelled() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        finished = []

        async def operation() -> int:
            await asyncio.sleep(5)
            finished.append(loop.time())
            return 1

        with pytest.raises(TimeoutError):
            await _result_within(1, operation(), loop)
        caller = loop.create_task(_result_within(30, operation(), loop))
        await asyncio.sleep(1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await asyncio.sleep(10)
        assert len(finished) == 2

    run_virtual(main)
