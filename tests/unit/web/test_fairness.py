"""Fair turns of connections with buffered requests, limits of buffers and of log lines, spread retries."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from sidecar.supervision import Failures
from sidecar.web.buffer_budget import BufferBudget
from sidecar.web.fair_queue import FairQueue
from sidecar.web.refusal_log import LineLimit, find_misspelling
from sidecar.web.retry_after import spread


class Talker:
    """A connection with a given number of buffered requests."""

    def __init__(self, name: str, requests: int, served: list[str], broken: bool = False) -> None:
        self.name, self.left, self.served, self.broken = name, requests, served, broken
        self.queued = self.dropped = False

    def serve_next(self) -> bool:
        if self.broken:
            raise RuntimeError("a fault of our own")
        self.served.append(self.name)
        self.left -= 1
        return self.left > 0

    def drop(self) -> None:
        self.dropped = True


def serve(*talkers: Talker) -> Failures:
    failures = Failures(logging.getLogger("nowhere"))

    async def run() -> None:
        queue = FairQueue(asyncio.get_running_loop(), failures)
        for talker in talkers:
            queue.add(talker)
            queue.add(talker)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert not any(talker.queued for talker in talkers)

    asyncio.run(run())
    return failures


def test_connections_are_served_in_turns() -> None:
    served: list[str] = []
    serve(Talker("many", 1000, served), Talker("few", 3, served))
    assert served[:6] == ["many", "few"] * 3
    assert served.count("many") == 1000


def test_a_turn_ends_so_that_other_callbacks_can_run() -> None:
    served: list[str] = []

    async def run() -> int:
        queue = FairQueue(asyncio.get_running_loop(), Failures())
        queue.add(Talker("many", 1_000_000, served))
        for _ in range(3):
            await asyncio.sleep(0)
        return len(served)

    assert 0 < asyncio.run(run()) < 100_000


def test_a_connection_that_fails_is_dropped_and_counted_and_the_others_are_served() -> None:
    served: list[str] = []
    broken = Talker("broken", 1, served, broken=True)
    failures = serve(broken, Talker("sound", 2, served))
    assert (served, broken.dropped) == (["sound"] * 2, True)
    assert failures.counts["pipelined_requests"] == 1


def test_the_connection_stuck_for_the_longest_time_is_dropped() -> None:
    budget = BufferBudget(100_000)
    talkers = [Talker(str(number), 0, []) for number in range(3)]
    for talker in talkers:
        budget.set(talker, 40_000)
    assert [talker.dropped for talker in talkers] == [True, False, False]
    assert budget.total == 80_000
    budget.set(talkers[1], 0)
    budget.set(talkers[2], 90_000)
    assert (budget.total, talkers[2].dropped) == (90_000, False)


def test_small_buffers_are_not_counted() -> None:
    budget = BufferBudget(10_000)
    for number in range(100):
        budget.set(Talker(str(number), 0, []), 4_000)
    assert budget.total == 0


def test_log_lines_are_limited_and_the_dropped_ones_are_counted() -> None:
    limit = LineLimit(3)
    assert [limit.take(0.0) for _ in range(5)] == [0, 0, 0, None, None]
    assert limit.take(20.0) == 2
    assert [limit.take(1e6) for _ in range(4)] == [0, 0, 0, None]


@pytest.mark.parametrize(
    ("scope", "follows", "names", "wanted"),
    [
        # A suggested value is a known one.
        ("team-a/lama/x", "team-a", ["team-a/llama"], ("team-a/lama", "team-a/llama")),
        ("team-a/lama/x", "", ["team-a/llama", "team-a/llama/x"], ("team-a/lama", "team-a/llama/x")),
        ("team-a/lama/x/y", "", ["team-a/llama", "team-a/llama/x"], ("team-a/lama", "team-a/llama/x")),
        ("taem-b", "", ["team-a", "team-b"], ("taem-b", "team-b")),
        ("Team-a/x", "", ["team-a"], ("Team-a", "team-a")),
        ("elsewhere/x", "", ["team-a"], ("elsewhere", None)),
        ("team-a/agent-7", "team-a", ["team-a/agent-8"], None),
        ("team-a/other", "team-a", ["team-a/llama"], None),
        ("team-a/x", "", ["team-a/y/z", "team-a/longer"], ("team-a/x", "team-a/y/z")),
        ("team-a/model", "", ["team-a/y"], None),
        ("team-1", "", ["team-2"], None),
        ("team", "", ["team/a"], None),
        ("team-a/llama/agent", "team-a/llama", [], None),
    ],
)
def test_a_probable_misspelling_is_found(
    scope: str, follows: str, names: list[str], wanted: tuple[str, str | None] | None
) -> None:
    assert find_misspelling(scope, follows, names) == wanted


@pytest.mark.parametrize(
    ("secs", "values"), [(0, {1, 2}), (1, {1, 2}), (2.2, {3, 4}), (10, set(range(10, 16)))]
)
def test_retries_are_spread_over_whole_seconds(secs: float, values: set[int]) -> None:
    rng = random.Random(7)
    assert {spread(secs, rng.randint) for _ in range(500)} == values
