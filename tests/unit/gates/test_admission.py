"""Admission in simulated time: never above a rate and without starvation, however waiters, clients and limits
change."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulated_loop import Loop
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.values import Hold, HoldKind, Restriction, ScopeRecord, Trial
from sidecar.gates.admission_control import ClientDemand
from sidecar.gates.counters import Counters
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.gates.tokens import TokenBucket, TokenCount
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom

HOLD = Hold(HoldKind.MANUAL, "x", 0.0, None, "op")
_IDS = itertools.count()
RANDOM = random.Random(1)


class Sim:
    """A tree of gates in simulated time."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.loop = Loop()
        self.counters = Counters()
        self.room = WaitingRoom(self.loop, self.counters)
        self.tree = GateTree(PolicyTable(policy or Policy(wait_timeout_secs=1e6)), 0, self.room)
        self.admitted: list[tuple[float, str]] = []
        self.changes: list[ScopeGate] = []
        self.trials: list[str] = []
        self.room.admission.on_change = self.changes.append
        self.room.admission.on_trial_end = lambda gate, trial, why: self.trials.append(why)

    def update(self, **records: ScopeRecord) -> None:
        """Set new records of scopes. In the names, "__" stands for "/", and "root" for the root."""
        named = {name.replace("__", "/") if name != "root" else ROOT: one for name, one in records.items()}
        update = self.tree.update(named, self.loop.now)
        for gate in update.closed:
            for _ in self.room.hold_back(gate):
                pass
        for gate in update.opened:
            for _ in self.room.release(gate):
                pass

    def restrict(self, rate: float | None, scope: str = "root") -> None:
        restriction = None if rate is None else Restriction(rate, "slow", 0.0, "agent:x")
        self.update(**{scope: ScopeRecord(restriction=restriction)})

    def ask(self, scope: str = ROOT, priority: int = 5, wait: float = 1e6) -> SimWaiter:
        waiter = SimWaiter(self, scope)
        gate, path = self.tree.find(scope)
        gate.requests += 1
        if not gate.blocks:
            waiter.end(Ending.OPENED, gate)
        elif (ending := self.room.request(waiter, gate, path, wait, priority)) is not None:
            waiter.end(ending, gate)
        return waiter

    def count(self, scope: str = "") -> int:
        return sum(1 for _, at in self.admitted if at.startswith(scope))

    def worst_excess(self, rate: float, scope: str = "", since: float = 0.0) -> float:
        """The largest excess of admitted requests over ``rate`` times the length, of all time windows."""
        level = worst = before = 0.0
        for at, where in sorted(self.admitted):
            if where.startswith(scope) and at >= since:
                level = max(0.0, level - (at - before) * rate) + 1
                worst, before = max(worst, level), at
        return worst

    def check_conservation(self) -> None:
        for gate in self.tree.gates.values():
            ended = gate.waited + gate.timed_out + gate.abandoned + gate.rejected
            assert gate.blocked == ended + gate.waiting, gate.scope


class SimWaiter(Waiter):
    def __init__(self, sim: Sim, scope: str = ROOT) -> None:
        self.gate = None
        self.sim = sim
        self.scope = scope
        self.ended: list[Ending] = []

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        self.ended.append(ending)
        if ending is Ending.OPENED:
            self.sim.admitted.append((self.sim.loop.now, self.scope))


class SimClient:
    """A client-side gate: requests a share while it has waiters, and admits as many as granted a moment
    later."""

    def __init__(self, sim: Sim, waiting: int, scope: str = ROOT, pause: float = 0.05, priority: int = 5):
        self.sim, self.waiting, self.scope, self.pause = sim, waiting, scope, pause
        self.priority = priority
        self.name = f"c{next(_IDS)}"
        self.admitted = 0
        self.dead = False
        self.trial = ""
        self.demand: ClientDemand | None = None
        self.ask()

    def add(self, count: int) -> None:
        idle = not self.waiting
        self.waiting += count
        if idle and not self.dead:
            self.ask()

    def ask(self) -> None:
        if self.dead or not self.waiting or self.demand is not None:
            return
        gate, _ = self.sim.tree.find(self.scope)
        waiting = [0] * 10
        waiting[self.priority] = self.waiting
        self.demand = ClientDemand(self.name, waiting, gate, self.answered)
        if not self.sim.room.admission.demand(self.demand):
            self.answered()

    def answered(self) -> None:
        demand, self.demand = self.demand, None
        if self.dead or demand is None:
            return
        assert 0 <= demand.granted <= self.waiting
        self.waiting -= demand.granted
        self.admitted += demand.granted
        self.trial = demand.trial
        self.sim.admitted += [(self.sim.loop.now, self.scope)] * demand.granted
        # As in the client package, so that not all clients ask at the same time.
        self.sim.loop.call_later(self.pause * RANDOM.uniform(0.4, 1.6), self.ask)

    def die(self) -> None:
        self.dead = True
        if self.demand is not None:
            self.sim.room.admission.withdraw(self.demand)


@dataclass(frozen=True)
class ClientPlan:
    comes_after: float
    waiting: int
    more_after: float
    more: int
    pause: float
    dies_after: float | None
    inside: bool
    priority: int


CLIENTS = st.lists(
    st.builds(
        ClientPlan,
        comes_after=st.floats(0, 3),
        waiting=st.integers(1, 40),
        more_after=st.floats(0, 5),
        more=st.integers(0, 20),
        pause=st.floats(0.01, 0.5),
        dies_after=st.one_of(st.none(), st.floats(0, 5)),
        inside=st.booleans(),
        priority=st.integers(0, 9),
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from((0.5, 3.0, 20.0, 400.0)),
    inner=st.sampled_from((None, 0.4, 10.0)),
    own=st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.integers(0, 9)), max_size=80),
    plans=CLIENTS,
    late=st.sampled_from((0.0, 0.005, 0.3)),
    closes_after=st.one_of(st.none(), st.floats(0, 3)),
)
def test_no_time_window_exceeds_the_rate_and_every_request_passes(
    rate: float,
    inner: float | None,
    own: list[tuple[float, bool, int]],
    plans: list[ClientPlan],
    late: float,
    closes_after: float | None,
) -> None:
    sim = Sim()
    sim.restrict(rate)
    if inner is not None:
        sim.restrict(inner, "a")
    waiters: list[SimWaiter] = []
    clients: list[SimClient] = []
    for at, inside, priority in own:
        sim.loop.call_later(at, lambda i=inside, p=priority: waiters.append(sim.ask("a/b" if i else ROOT, p)))

    def come(plan: ClientPlan) -> None:
        scope = "a/c" if plan.inside else ROOT
        client = SimClient(sim, plan.waiting, scope, plan.pause, plan.priority)
        clients.append(client)
        sim.loop.call_later(plan.more_after, client.add, plan.more)
        if plan.dies_after is not None:
            sim.loop.call_later(plan.dies_after, client.die)

    for plan in plans:
        sim.loop.call_later(plan.comes_after, come, plan)
    if closes_after is not None:
        held = ScopeRecord(manual=HOLD, restriction=Restriction(rate, "slow", 0.0, "agent:x"))
        sim.loop.call_later(closes_after, lambda: sim.update(root=held))
        sim.loop.call_later(closes_after + 1.5, sim.restrict, rate)
    total = len(own) + sum(plan.waiting + plan.more for plan in plans)
    slowest = min(rate, inner or rate)
    # A client that admits one request and then pauses may need such a pause for each request.
    sim.loop.run(20 + 2 * total * (1 / slowest + 0.6 + late), late)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters), "nothing starves"
    assert all(client.dead or not client.waiting for client in clients)
    assert sim.worst_excess(rate) <= max(1.0, rate * 0.1) + 1e-6
    if inner is not None:
        assert sim.worst_excess(inner, "a/") <= max(1.0, inner * 0.1) + 1e-6
    sim.check_conservation()
    gates = sim.tree.gates.values()
    assert not any(sum(one.limiter.own) for gate in gates for one in gate.limiters.values())


def test_shares_are_proportional_to_the_requests_that_each_party_has_waiting() -> None:
    sim = Sim()
    sim.restrict(1000)
    for _ in range(10_000):
        sim.ask()
    clients = [SimClient(sim, 1000) for _ in range(8)]
    sim.loop.run(1)
    began = len(sim.admitted)
    before = [client.admitted for client in clients]
    sim.loop.run(5)
    assert len(sim.admitted) - began == pytest.approx(5000, rel=0.02)
    fair = 5000 * 1000 / 18_000
    for client, was in zip(clients, before, strict=True):
        assert client.admitted - was == pytest.approx(fair, rel=0.1)


def test_a_higher_priority_is_admitted_first_and_within_one_the_first_arrival() -> None:
    sim = Sim()
    sim.restrict(10)
    order: list[tuple[int, int]] = []
    sim.ask()
    for number in range(40):
        waiter = SimWaiter(sim)
        priority = (2, 9, 5, 0)[number % 4]
        waiter.end = lambda _, __, p=priority, n=number: order.append((p, n))
        assert sim.room.request(waiter, sim.tree.root, None, 100, priority) is None
    sim.loop.run(5)
    assert order == sorted(order, key=lambda one: (-one[0], one[1]))
    assert {one[0] for one in order[:20]} == {9, 5}


def test_a_client_with_a_higher_priority_is_served_before_own_waiters() -> None:
    sim = Sim()
    sim.restrict(10)
    own = [sim.ask(priority=1) for _ in range(50)]
    client = SimClient(sim, 20, priority=8, pause=0.01)
    sim.loop.run(1.9)
    assert client.admitted >= 17
    assert sum(bool(one.ended) for one in own) <= 2


def test_a_request_at_a_restricted_gate_passes_at_once_while_there_are_tokens() -> None:
    sim = Sim()
    sim.restrict(100)
    sim.loop.run(1)
    first = [sim.ask() for _ in range(12)]
    assert [bool(one.ended) for one in first] == [True] * 10 + [False] * 2
    gate = sim.tree.root
    assert (gate.requests, gate.blocked, gate.waiting) == (12, 2, 2), "what passes at once is not blocked"
    sim.loop.run(0.1)
    assert (gate.waited, gate.waiting) == (2, 0)


def test_a_wait_at_a_restricted_gate_times_out_and_an_abandoned_one_is_counted() -> None:
    sim = Sim()
    sim.restrict(0.1)
    sim.ask()
    timed = sim.ask(wait=2)
    left = sim.ask(wait=1000)
    sim.room.abandon(left)
    sim.loop.run(3)
    assert timed.ended == [Ending.TIMED_OUT]
    assert not left.ended
    gate = sim.tree.root
    assert (gate.timed_out, gate.abandoned, gate.waiting) == (1, 1, 0)
    sim.check_conservation()


def test_a_request_obeys_the_restrictions_of_its_scope_and_all_ancestors() -> None:
    sim = Sim()
    sim.restrict(10)
    sim.restrict(5, "a")
    sim.restrict(100, "b")
    for _ in range(200):
        for scope in ("a/x", "b", "c"):
            sim.ask(scope)
            sim.loop.now += 1e-6
    began = sim.loop.now
    sim.loop.run(10)
    assert sim.worst_excess(10) <= 1 + 1e-6
    assert sim.worst_excess(5, "a", began) <= 1 + 1e-6
    assert sim.count() == pytest.approx(100, abs=3)
    assert sim.count("a") > 20
    assert sim.count("b") > 20
    assert sim.count("c") > 20


def test_the_end_of_a_restriction_wakes_every_waiter_and_client() -> None:
    sim = Sim()
    sim.restrict(0.01)
    own = [sim.ask("a") for _ in range(30)]
    client = SimClient(sim, 30)
    sim.restrict(None)
    assert all(one.ended == [Ending.OPENED] for one in own[1:])
    sim.loop.run(0.1)
    assert client.admitted == 30


def test_the_expected_admission_follows_the_longest_queue() -> None:
    sim = Sim()
    sim.restrict(2)
    sim.restrict(10, "a")
    outer, inner = sim.tree.root.limiting, sim.tree.gates["a"].limiting
    assert outer.secs_until_turn(5) == 1 / 2
    for _ in range(20):
        sim.ask("b", 5)
        sim.ask("a/x", 3)
    client = SimClient(sim, 40, "a", priority=7)
    sim.loop.run(0.01)
    waiting = 20 + 20 + 40 - sim.count()
    assert outer.secs_until_turn(0) == pytest.approx((waiting + 1) / 2)
    assert inner.secs_until_turn(0) == outer.secs_until_turn(0), "it needs a token of both"
    assert outer.secs_until_turn(8) == 1 / 2, "lower priorities are not before it"
    sim.restrict(100)
    assert inner.secs_until_turn(0) < 61 / 10 + 0.2
    sim.loop.run(60)
    assert not client.waiting
    assert [outer.secs_until_turn(0), inner.secs_until_turn(0)] == [1 / 100, 1 / 10], "all have passed"


def test_a_new_rate_applies_at_once() -> None:
    sim = Sim()
    sim.restrict(0.01)
    own = [sim.ask() for _ in range(60)]
    sim.loop.run(5)
    sim.restrict(20)
    sim.loop.run(4)
    assert all(one.ended for one in own)
    assert sim.worst_excess(20, since=1001.0) <= 2 + 1e-6


def test_a_gate_that_closes_keeps_all_waiters_and_notifies_its_clients() -> None:
    sim = Sim()
    sim.restrict(10)
    own = [sim.ask() for _ in range(30)]
    client = SimClient(sim, 30, pause=0.2)
    sim.loop.run(1)
    sim.update(root=ScopeRecord(manual=HOLD, restriction=Restriction(10, "slow", 0.0, "agent:x")))
    passed = len(sim.admitted)
    assert client.demand is None or client.demand.limiter is None
    sim.loop.run(10)
    assert len(sim.admitted) == passed
    sim.restrict(10)
    sim.loop.run(10)
    assert all(one.ended == [Ending.OPENED] for one in own)
    assert not client.waiting
    sim.check_conservation()


SLOW = Restriction(10, "slow", 0.0, "agent:x")
CLOSINGS = {
    "its own hold": ({"a": ScopeRecord(restriction=SLOW)}, {"a": ScopeRecord(manual=HOLD, restriction=SLOW)}),
    "a hold above": (
        {"a": ScopeRecord(restriction=SLOW)},
        {"root": ScopeRecord(manual=HOLD), "a": ScopeRecord(restriction=SLOW)},
    ),
    "a hold below the restriction": (
        {"root": ScopeRecord(restriction=SLOW), "a": ScopeRecord()},
        {"root": ScopeRecord(restriction=SLOW), "a": ScopeRecord(manual=HOLD)},
    ),
    "a hold in a trial": (
        {"a": ScopeRecord(trial=Trial(20, 1000.0, 1030.0, HOLD))},
        {"a": ScopeRecord(manual=HOLD, trial=Trial(20, 1000.0, 1030.0, HOLD))},
    ),
    "a hold in a ramp": ({"a": ScopeRecord()}, {"a": ScopeRecord(manual=HOLD)}),
}


@pytest.mark.parametrize("which", list(CLOSINGS))
def test_a_client_that_requested_tokens_gets_none_while_the_gate_is_closed(which: str) -> None:
    before, after = CLOSINGS[which]
    for steps in range(1, 40):
        sim = Sim(Policy(resume_ramp_per_sec=10, wait_timeout_secs=1e6))
        sim.update(**{**before, "a": ScopeRecord(manual=HOLD)})
        client = SimClient(sim, 30, "a", pause=0.07)
        sim.update(**before)
        client.ask()
        sim.loop.run(steps * 0.03)
        sim.update(**after)
        passed = len(sim.admitted)
        assert client.demand is None
        sim.loop.run(10)
        assert len(sim.admitted) == passed


def test_a_new_scope_takes_over_its_waiters_under_both_restrictions() -> None:
    sim = Sim()
    sim.restrict(10)
    own = [sim.ask("a/b") for _ in range(30)]
    sim.restrict(2, "a")
    began = sim.loop.now
    sim.loop.run(5)
    assert sim.count("a/b") <= 12
    assert sim.worst_excess(2, "a", began + 0.001) <= 1 + 1e-6
    sim.update(a=ScopeRecord())
    sim.loop.run(5)
    assert all(one.ended == [Ending.OPENED] for one in own)


def test_a_trial_admits_exactly_its_number_of_requests() -> None:
    sim = Sim()
    sim.update(root=ScopeRecord(manual=HOLD))
    own = [sim.ask() for _ in range(2)]
    client = SimClient(sim, 10)
    sim.update(root=ScopeRecord(trial=Trial(5, 1000.0, 1030.0, HOLD)))
    sim.loop.run(20)
    assert len(sim.admitted) == 5
    assert sum(bool(one.ended) for one in own) >= 1
    assert client.admitted >= 1
    assert client.trial == "1000.000000"
    assert sim.ask().ended == []
    sim.room.admission.report_outcomes(sim.tree.root, client.trial, 4, 0)
    assert sim.trials == []
    sim.room.admission.report_outcomes(sim.tree.root, "another", 5, 1)
    assert sim.trials == [], "the outcome of another trial"
    sim.room.admission.report_outcomes(sim.tree.root, client.trial, 1, 0)
    assert sim.trials == [""]
    sim.room.admission.report_outcomes(sim.tree.root, client.trial, 0, 2)
    assert sim.trials[1] == "2 requests of the trial failed"


def test_a_trial_and_a_restriction_of_one_scope_both_apply() -> None:
    sim = Sim()
    restriction = Restriction(1, "slow", 0.0, "agent:x")
    sim.update(root=ScopeRecord(trial=Trial(5, 1000.0, 1030.0, HOLD), restriction=restriction))
    for _ in range(20):
        sim.ask()
    sim.loop.run(2.5)
    assert len(sim.admitted) == 3
    sim.loop.run(20)
    assert len(sim.admitted) == 5


# -- ramps --------------------------------------------------------------------------------------------


def ramp(rate: float) -> Sim:
    return Sim(Policy(resume_ramp_per_sec=rate, wait_timeout_secs=1e6))


def test_after_a_resume_parked_requests_pass_at_the_rate_of_the_ramp_and_new_ones_at_once() -> None:
    sim = ramp(20)
    sim.update(root=ScopeRecord(manual=HOLD))
    own = [sim.ask() for _ in range(40)]
    sim.tree.root.clients["c"] = True
    sim.update(root=ScopeRecord())
    client = SimClient(sim, 20)
    assert sim.tree.root.admit_per_sec == 20
    assert sim.ask().ended == [Ending.OPENED]
    sim.loop.run(1.9)
    assert 36 <= len(sim.admitted) <= 41
    sim.loop.run(2)
    assert all(one.ended == [Ending.OPENED] for one in own)
    assert client.admitted == 20
    sim.loop.run(10)
    assert sim.tree.root.admit_per_sec is None
    assert sim.changes == [sim.tree.root]


def test_a_client_that_learns_late_of_the_resume_still_gets_the_ramp() -> None:
    sim = ramp(10)
    client = SimClient(sim, 30)
    assert client.admitted == 0
    sim.loop.run(1)
    assert 9 <= client.admitted <= 11


def test_a_gate_that_closes_during_a_ramp_keeps_the_rest_until_it_opens_again() -> None:
    sim = ramp(10)
    sim.update(root=ScopeRecord(manual=HOLD))
    waiters = [sim.ask() for _ in range(20)]
    sim.update(root=ScopeRecord())
    sim.loop.run(0.95)
    sim.update(root=ScopeRecord(manual=HOLD))
    passed = sum(bool(waiter.ended) for waiter in waiters)
    assert 8 <= passed <= 11
    sim.loop.run(10)
    assert sum(bool(waiter.ended) for waiter in waiters) == passed
    sim.update(root=ScopeRecord())
    sim.loop.run(3)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters)
    assert [waiter.ended for waiter in waiters] == sorted(waiter.ended for waiter in waiters)
    gate = sim.tree.root
    assert (gate.blocked, gate.waited, gate.waiting, gate.limiting) == (20, 20, 0, None)


@pytest.mark.parametrize("rate", [0.0, 50.0])
def test_a_new_ramp_rate_of_the_policy_applies_at_once(rate: float) -> None:
    sim = ramp(1)
    sim.update(root=ScopeRecord(manual=HOLD))
    waiters = [sim.ask() for _ in range(100)]
    sim.update(root=ScopeRecord())
    sim.loop.run(3)
    sim.tree.update({}, sim.loop.now, PolicyTable(Policy(resume_ramp_per_sec=rate)))
    sim.loop.run(4)
    assert all(waiter.ended for waiter in waiters)


def test_a_failed_step_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    sim = ramp(100)
    sim.update(root=ScopeRecord(manual=HOLD))
    waiters = [sim.ask() for _ in range(20)]
    faults = iter([RuntimeError("once"), RuntimeError("twice")])
    advance = sim.room.admission._advance

    def failing() -> float:
        for fault in faults:
            raise fault
        return advance()

    monkeypatch.setattr(sim.room.admission, "_advance", failing)
    sim.update(root=ScopeRecord())
    sim.loop.run(1)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters)
    assert sim.counters.task_failures.counts["admission"] == 2


# -- buckets ------------------------------------------------------------------------------------------


def take(bucket: TokenBucket, now: float) -> int:
    count = bucket.available(now)
    for _ in range(count):
        bucket.take()
    return count


def test_a_late_timer_causes_no_burst_above_a_tenth_of_a_second() -> None:
    bucket = TokenBucket(100, 0.0)
    assert take(bucket, 0.0) == 1
    assert take(bucket, 60.0) == 10
    assert take(bucket, 60.0) == 0
    assert bucket.secs_until_token(60.0) == pytest.approx(0.01)


def test_a_rate_below_one_in_ten_seconds_still_admits_one_at_a_time() -> None:
    bucket = TokenBucket(0.01, 0.0)
    assert take(bucket, 0.0) == 1
    assert take(bucket, 99.0) == 0
    assert take(bucket, 100.0) == 1
    assert take(bucket, 1e6) == 1


def test_the_request_budget_of_a_trial_is_never_refilled() -> None:
    tokens = TokenCount(2)
    tokens.take()
    tokens.take()
    assert tokens.available(1e9) == 0
    assert tokens.secs_until_token(1e9) == float("inf")


def test_only_a_priority_that_waits_while_higher_ones_pass_starves() -> None:
    sim = Sim()
    sim.restrict(5)
    gate = sim.tree.root
    for _ in range(50):
        sim.ask(priority=8)
    sim.ask(priority=2)
    client = SimClient(sim, 3, priority=0, pause=0.01)
    sim.loop.run(6)
    starved = gate.starved(sim.loop.now)
    assert starved.keys() == {0, 2}
    assert all(5.0 <= secs <= 6.0 for secs in starved.values())
    sim.loop.run(sim.loop.now + 7)
    assert client.admitted == 3
    assert not gate.starved(sim.loop.now)


def test_starvation_is_measured_at_the_limit_where_a_priority_waits() -> None:
    sim = Sim()
    sim.restrict(10)
    sim.restrict(5, "a")
    for _ in range(60):
        sim.ask("b", priority=9)
    sim.ask("a", priority=1)
    sim.loop.run(4)
    assert sim.tree.gates["a"].starved(sim.loop.now).keys() == {1}
    assert not sim.tree.root.starved(sim.loop.now), "only 9 waits there"


def test_a_request_that_waits_for_equal_ones_or_for_a_token_does_not_starve() -> None:
    sim = Sim()
    sim.restrict(0.1)
    for _ in range(5):
        sim.ask(priority=5)
    sim.loop.run(30)
    assert not sim.tree.root.starved(sim.loop.now)
