"""Work in the loop is done a little at a time, and comes to an end however busy the loop is."""

from __future__ import annotations

import asyncio

import pytest

from sidecar import time_slice
from sidecar.time_slice import TimeSlice


class Time:
    """Stands in for `time`."""

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
def test_a_slice_is_a_share_of_what_the_others_took(
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
