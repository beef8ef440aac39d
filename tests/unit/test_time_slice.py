"""Work in the event loop is done in small slices. It finishes even if the loop is always busy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from sidecar import time_slice
from sidecar.time_slice import PendingInput, TimeSlice, release_in_pieces


class Time:
    """Replaces the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("others", "slice_secs"),
    [
        pytest.param(0.0, 0.000_01, id="nobody else: the least"),
        pytest.param(0.002, 0.000_5, id="busy: a quarter of what the others took"),
        pytest.param(0.5, 0.001, id="stalled: the most"),
    ],
)
def test_the_length_of_a_slice_is_a_share_of_the_time_of_other_work(
    monkeypatch: pytest.MonkeyPatch, others: float, slice_secs: float
) -> None:
    time = Time()
    monkeypatch.setattr(time_slice, "time", time)

    async def run() -> None:
        one = TimeSlice()
        time.now += 0.000_02
        assert one.expired

        def work() -> None:
            time.now += others

        asyncio.get_running_loop().call_soon(work)
        await one.yield_to_others()
        time.now += slice_secs * 0.9
        assert not one.expired
        time.now += slice_secs * 0.2
        assert one.expired

    asyncio.run(run())


def test_a_slice_continues_while_nothing_waits_up_to_a_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    time, waits = Time(), [False]
    monkeypatch.setattr(time_slice, "time", time)
    one = TimeSlice(0.000_05, 0.001, lambda: waits[0])
    time.now += 0.000_06
    assert not one.expired
    waits[0] = True
    assert not one.expired, "the slice has just checked for input"
    time.now += 0.000_06
    assert one.expired
    waits[0] = False
    time.now = 0.000_9
    assert not one.expired
    time.now = 0.001_1
    assert one.expired


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_input_is_pending_until_the_loop_has_read_it(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        pending = PendingInput(loop)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            read: asyncio.Future[bytes] = loop.create_future()
            loop.add_reader(ours, lambda: read.done() or read.set_result(ours.recv(9)))
            await asyncio.sleep(0)
            assert not pending()
            theirs.send(b"x")
            assert pending()
            assert await read == b"x"
            assert not pending()
            loop.remove_reader(ours)

    loop = new_loop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


def test_on_another_event_loop_input_always_counts_as_pending() -> None:
    assert PendingInput(asyncio.AbstractEventLoop())()


def test_values_are_released_in_pieces() -> None:
    values: list[object] = list(range(1_000))
    release_in_pieces(values)
    assert values == []
