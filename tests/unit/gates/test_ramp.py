"""Ramps in simulated time: never above the rate, never stuck, whatever waiters and clients come and go."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.values import Hold, HoldKind, ScopeRecord
from sidecar.gates.admission import RateShares, TokenBucket
from sidecar.gates.counters import Counters
from sidecar.gates.gate import Ending, Gate, Waiter
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom

HOLD = Hold(HoldKind.MANUAL, "x", 0.0, None, "op")


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop in simulated time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._heap: list = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., None], *args: Any) -> Handle:
        handle = Handle()
        heapq.heappush(self._heap, (when, next(self._numbers), handle, call, args))
        return handle

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> Handle:
        return self.call_at(self.now + delay, call, *args)

    def call_soon(self, call: Callable[..., None], *args: Any) -> Handle:
        return self.call_at(self.now, call, *args)

    def run(self, secs: float, late: float = 0.0) -> None:
        """Let ``secs`` pass; every timer fires ``late`` seconds after its time."""
        end = self.now + secs
        while self._heap and self._heap[0][0] + late <= end:
            when, _, handle, call, args = heapq.heappop(self._heap)
            self.now = max(self.now, when + late)
            if not handle.cancelled:
                call(*args)
        self.now = end


class Sim:
    """A gate whose policy has a ramp, with waiters of its own and clients."""

    def __init__(self, rate: float) -> None:
        self.loop = Loop()
        self.counters = Counters()
        self.room = WaitingRoom(self.loop, self.counters)
        policies = PolicyTable(Policy(resume_ramp_per_sec=rate, wait_timeout_secs=1e6))
        self.tree = GateTree(policies, 0, self.room)
        self.gate = self.tree.root
        self.admitted: list[float] = []
        self.offers = 0
        self.room.on_client_rate = self._client_rate_changed

    def _client_rate_changed(self, gate: Gate) -> None:
        self.offers += 1

    def close(self) -> None:
        self.tree.update({ROOT: ScopeRecord(manual=HOLD)}, self.loop.now)
        self.room.stop_ramp(self.gate)

    def park(self, count: int, wait: float = 1e6) -> list[SimWaiter]:
        waiters = [SimWaiter(self) for _ in range(count)]
        for waiter in waiters:
            self.gate.requests += 1
            assert self.room.request(waiter, self.gate, None, wait) is None
        return waiters

    def open(self) -> None:
        self.tree.update({ROOT: ScopeRecord()}, self.loop.now)
        for _ in self.room.release(self.gate):
            pass

    def report(self, client: object, *, waiting: bool) -> None:
        self.gate.clients[client] = waiting
        self.room.client_reported(self.gate, client, waiting=waiting)

    def gone(self, client: object) -> None:
        self.gate.clients.pop(client, None)
        if self.gate.ramp is not None:
            self.gate.ramp.client_gone(client)

    def worst_excess(self, rate: float) -> float:
        """By how much some window had more than its length times ``rate``."""
        level = worst = 0.0
        before = 0.0
        for at in sorted(self.admitted):
            level = max(0.0, level - (at - before) * rate) + 1
            worst, before = max(worst, level), at
        return worst


class SimWaiter(Waiter):
    def __init__(self, sim: Sim) -> None:
        self.gate = None
        self.sim = sim
        self.ended: list[Ending] = []

    def end(self, ending: Ending, gate: Gate) -> None:
        self.ended.append(ending)
        if ending is Ending.OPENED:
            self.sim.admitted.append(self.sim.loop.now)


@dataclass(frozen=True)
class ClientPlan:
    """A client: what it holds, when it hears of the opening, when it reports, how it takes later offers."""

    waiting: int
    hears_after: float
    reports_every: float
    follows: bool
    dies_after: float | None


class SimClient:
    """Lets its waiters through at the offer that it has read, as the client package does."""

    def __init__(self, sim: Sim, plan: ClientPlan) -> None:
        self.sim, self.plan = sim, plan
        self.waiting = plan.waiting
        self.share: float | None = None
        self.dead = False
        sim.loop.call_later(plan.hears_after, self._hear)
        sim.loop.call_later(plan.reports_every, self._report)
        if plan.dies_after is not None:
            sim.loop.call_later(plan.dies_after, self._die)

    def _hear(self) -> None:
        self.share = self.sim.gate.ramp_per_sec
        self._admit()

    def _admit(self) -> None:
        if self.dead or not self.waiting:
            return
        if self.plan.follows:
            self.share = self.sim.gate.ramp_per_sec
        self.waiting -= 1
        self.sim.admitted.append(self.sim.loop.now)
        self.sim.loop.call_later(1 / self.share, self._admit)

    def _report(self) -> None:
        if not self.dead:
            self.sim.report(self, waiting=self.waiting > 0)
            self.sim.loop.call_later(self.plan.reports_every, self._report)

    def _die(self) -> None:
        self.dead = True
        # It is found to be gone after three intervals.
        self.sim.loop.call_later(3 * self.plan.reports_every, self.sim.gone, self)


CLIENTS = st.lists(
    st.builds(
        ClientPlan,
        waiting=st.integers(0, 40),
        hears_after=st.floats(0, 3),
        reports_every=st.floats(0.2, 10),
        follows=st.booleans(),
        dies_after=st.one_of(st.none(), st.floats(0, 5)),
    ),
    max_size=8,
)


@settings(max_examples=examples(25))
@given(
    rate=st.sampled_from((0.5, 3.0, 20.0, 400.0)),
    own=st.integers(0, 120),
    plans=CLIENTS,
    late=st.sampled_from((0.0, 0.005, 0.3)),
)
def test_no_window_has_more_than_the_rate_and_everything_passes(
    rate: float, own: int, plans: list[ClientPlan], late: float
) -> None:
    sim = Sim(rate)
    sim.close()
    waiters = sim.park(own)
    clients = [SimClient(sim, plan) for plan in plans]
    for client in clients:
        sim.report(client, waiting=client.waiting > 0)
    sim.open()
    # The time that all of it takes at the rate, ten times over, and what it takes to hear of clients' ends.
    total = own + sum(plan.waiting for plan in plans)
    sim.loop.run(60 + 10 * total * (len(plans) + 1) / rate, late)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters), "nothing starves"
    assert all(client.dead or not client.waiting for client in clients)
    # A tenth of a second's worth, and one for the sidecar and each client that begins.
    assert sim.worst_excess(rate) <= max(1.0, rate * 0.1) + 1 + len(plans) + 1e-6
    assert sim.gate.ramp is None or sim.gate.ramp.shares.clients


def test_clients_that_leave_make_no_burst() -> None:
    sim = Sim(100)
    sim.close()
    sim.park(2000)
    clients = [f"c{number}" for number in range(9)]
    for client in clients:
        sim.report(client, waiting=True)
    sim.open()
    sim.loop.run(5)
    assert 45 <= len(sim.admitted) <= 60, "the sidecar's own share is a tenth"
    for client in clients:
        sim.report(client, waiting=False)
    sim.loop.run(5)
    assert sim.worst_excess(100) <= 12
    assert len(sim.admitted) >= 480, "what the clients had is used"


def test_clients_that_come_do_not_stall_the_sidecars_own_waiters() -> None:
    sim = Sim(100)
    sim.close()
    sim.park(2000)
    sim.open()
    sim.loop.run(5)
    before = len(sim.admitted)
    assert 490 <= before <= 515
    for number in range(9):
        sim.report(f"c{number}", waiting=True)
    sim.loop.run(5)
    assert len(sim.admitted) - before >= 5 * 30
    shares = sim.gate.ramp.shares
    assert shares.own_rate + sum(shares._granted.values()) <= 100 + 1e-9


def test_many_unknown_clients_that_come_one_after_another_get_about_the_rate_and_never_nothing() -> None:
    # Nobody knew of them at the opening: two hundredths for the least shares, one for the own waiters.
    shares = RateShares(100, (), own=True)
    for number in range(40):
        shares.join(number)
        assert shares.client_rate > 0
        assert shares.own_rate > 0
        assert shares.own_rate + sum(shares._granted.values()) <= 103
    for number in range(40):
        shares.leave(number)
        shares.redistribute()
        assert shares.own_rate + sum(shares._granted.values()) <= 103
    assert shares.own_rate == 100


def test_a_client_that_reported_nothing_parked_counts_until_it_reports_again() -> None:
    sim = Sim(10)
    sim.close()
    sim.park(5)
    sim.report("idle", waiting=False)
    sim.open()
    assert sim.gate.ramp_per_sec == 5, "it may hold some since"
    sim.loop.run(0.1)
    sim.report("idle", waiting=False)
    assert "idle" in sim.gate.ramp.shares, "that report may have been under way at the opening"
    sim.loop.run(0.5)
    sim.report("idle", waiting=False)
    assert "idle" not in sim.gate.ramp.shares


def test_a_larger_share_is_told_to_clients_at_most_once_a_second() -> None:
    sim = Sim(100)
    sim.close()
    sim.park(1000)
    for number in range(20):
        sim.report(number, waiting=True)
    sim.open()
    for number in range(19):
        sim.loop.run(0.1)
        sim.report(number, waiting=number < 5)
    sim.loop.run(2)
    assert 1 <= sim.offers <= 4


def test_a_step_that_fails_does_not_stop_the_ramp(monkeypatch: pytest.MonkeyPatch) -> None:
    sim = Sim(100)
    sim.close()
    waiters = sim.park(20)
    faults = iter([RuntimeError("once"), RuntimeError("twice")])
    take = TokenBucket.take

    def failing(bucket: TokenBucket, most: int, now: float) -> int:
        for fault in faults:
            raise fault
        return take(bucket, most, now)

    monkeypatch.setattr(TokenBucket, "take", failing)
    sim.open()
    sim.loop.run(1)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters)
    assert sim.counters.task_failures.counts["ramp"] == 2


def test_a_gate_that_closes_again_keeps_the_rest_and_the_next_opening_goes_on() -> None:
    sim = Sim(10)
    sim.close()
    waiters = sim.park(20)
    sim.open()
    sim.loop.run(0.95)
    sim.close()
    passed = sum(bool(waiter.ended) for waiter in waiters)
    assert 8 <= passed <= 11
    sim.loop.run(10)
    assert sum(bool(waiter.ended) for waiter in waiters) == passed
    sim.open()
    sim.loop.run(3)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters)
    assert [waiter.ended for waiter in waiters] == sorted(waiter.ended for waiter in waiters)
    gate = sim.gate
    assert (gate.blocked, gate.waited, gate.waiting, gate.ramp) == (20, 20, 0, None)


def test_waiters_pass_in_the_order_in_which_they_came() -> None:
    sim = Sim(1000)
    sim.close()
    waiters = sim.park(300)
    order: list[int] = []
    for number, waiter in enumerate(waiters):
        waiter.end = lambda ending, gate, number=number: order.append(number)
    sim.open()
    sim.loop.run(1)
    assert order == list(range(300))


@pytest.mark.parametrize("rate", [0.0, 50.0])
def test_another_rate_counts_at_once(rate: float) -> None:
    sim = Sim(1)
    sim.close()
    waiters = sim.park(100)
    sim.open()
    sim.loop.run(3)
    sim.tree.update({}, sim.loop.now, PolicyTable(Policy(resume_ramp_per_sec=rate)))
    sim.loop.run(4)
    assert all(waiter.ended for waiter in waiters)


def test_a_late_timer_makes_no_burst_above_a_tenth_of_a_second() -> None:
    bucket = TokenBucket(100, 0.0)
    assert bucket.take(1000, 0.0) == 1
    assert bucket.take(1000, 60.0) == 10
    assert bucket.take(1000, 60.0) == 0
    assert bucket.secs_until_token(60.0) == pytest.approx(0.01)


def test_a_rate_below_one_in_ten_seconds_still_admits_one_at_a_time() -> None:
    bucket = TokenBucket(0.01, 0.0)
    assert bucket.take(5, 0.0) == 1
    assert bucket.take(5, 99.0) == 0
    assert bucket.take(5, 100.0) == 1
    assert bucket.take(5, 1e6) == 1
    assert TokenBucket(0.0, 0.0).secs_until_token(1.0) == 0.0
