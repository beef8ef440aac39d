"""Admission in simulated time: never above a rate and without starvation, however waiters, clients and limits
change."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulated_gates import HOLD, SimulatedClient, SimulatedGates, SimulatedWaiter
from sidecar.core.policy import Policy
from sidecar.core.scope import ROOT
from sidecar.core.values import Restriction, ScopeRecord, Trial
from sidecar.gates.gate import Ending


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
    sim = SimulatedGates()
    sim.restrict(rate)
    if inner is not None:
        sim.restrict(inner, "a")
    waiters: list[SimulatedWaiter] = []
    clients: list[SimulatedClient] = []
    for at, inside, priority in own:
        sim.loop.call_later(at, lambda i=inside, p=priority: waiters.append(sim.ask("a/b" if i else ROOT, p)))

    def come(plan: ClientPlan) -> None:
        scope = "a/c" if plan.inside else ROOT
        client = SimulatedClient(sim, plan.waiting, scope, plan.pause, plan.priority)
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
    # A client may pause after each admitted request.
    sim.loop.run(20 + 2 * total * (1 / slowest + 0.6 + late), late)
    assert all(waiter.ended == [Ending.OPENED] for waiter in waiters), "every waiter is admitted"
    assert all(client.dead or not client.waiting for client in clients)
    assert sim.worst_excess(rate) <= max(1.0, rate * 0.1) + 1e-6
    if inner is not None:
        assert sim.worst_excess(inner, "a/") <= max(1.0, inner * 0.1) + 1e-6
    sim.check_conservation()
    gates = sim.tree.gates.values()
    assert not any(sum(one.limiter.own) for gate in gates for one in gate.limiters.values())


def test_shares_are_proportional_to_the_requests_that_each_party_has_waiting() -> None:
    sim = SimulatedGates()
    sim.restrict(1000)
    for _ in range(10_000):
        sim.ask()
    clients = [SimulatedClient(sim, 1000) for _ in range(8)]
    sim.loop.run(1)
    began = len(sim.admitted)
    before = [client.admitted for client in clients]
    sim.loop.run(5)
    assert len(sim.admitted) - began == pytest.approx(5000, rel=0.02)
    fair = 5000 * 1000 / 18_000
    for client, was in zip(clients, before, strict=True):
        assert client.admitted - was == pytest.approx(fair, rel=0.1)


def test_no_party_starves_at_a_restriction_inside_a_wider_one() -> None:
    sim = SimulatedGates()
    sim.restrict(40)
    sim.restrict(15, "a")
    SimulatedClient(sim, 400)
    for _ in range(200):
        sim.ask("a")
    inside = [SimulatedClient(sim, 200, "a") for _ in range(3)]
    sim.loop.run(2)
    late = SimulatedClient(sim, 200, "a")
    sim.loop.run(5)
    began = len(sim.admitted)
    before = [client.admitted for client in (*inside, late)]
    sim.loop.run(12)
    admitted = [client.admitted - was for client, was in zip((*inside, late), before, strict=True)]
    own = sum(scope == "a" for _, scope in sim.admitted[began:]) - sum(admitted)
    assert sum(admitted) + own == pytest.approx(180, rel=0.05)
    assert [own, *admitted] == [pytest.approx(36, rel=0.4)] * 5


def test_a_higher_priority_is_admitted_first_and_equal_priorities_in_order_of_arrival() -> None:
    sim = SimulatedGates()
    sim.restrict(10)
    order: list[tuple[int, int]] = []
    sim.ask()
    for number in range(40):
        waiter = SimulatedWaiter(sim)
        priority = (2, 9, 5, 0)[number % 4]
        waiter.end = lambda _, __, p=priority, n=number: order.append((p, n))
        assert sim.room.request(waiter, sim.tree.root, None, 100, priority) is None
    sim.loop.run(5)
    assert order == sorted(order, key=lambda one: (-one[0], one[1]))
    assert {one[0] for one in order[:20]} == {9, 5}


def test_a_client_with_a_higher_priority_is_served_before_own_waiters() -> None:
    sim = SimulatedGates()
    sim.restrict(10)
    own = [sim.ask(priority=1) for _ in range(50)]
    client = SimulatedClient(sim, 20, priority=8, pause=0.01)
    sim.loop.run(1.9)
    assert client.admitted >= 17
    assert sum(bool(one.ended) for one in own) <= 2


def test_a_request_at_a_restricted_gate_passes_at_once_while_there_are_tokens() -> None:
    sim = SimulatedGates()
    sim.restrict(100)
    sim.loop.run(1)
    first = [sim.ask() for _ in range(12)]
    assert [bool(one.ended) for one in first] == [True] * 10 + [False] * 2
    gate = sim.tree.root
    assert (gate.requests, gate.blocked, gate.waiting) == (12, 2, 2), (
        "a request that passes at once is not counted as blocked"
    )
    sim.loop.run(0.1)
    assert (gate.waited, gate.waiting) == (2, 0)


def test_timed_out_and_abandoned_waits_at_a_restricted_gate_are_counted() -> None:
    sim = SimulatedGates()
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
    sim = SimulatedGates()
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
    sim = SimulatedGates()
    sim.restrict(0.01)
    own = [sim.ask("a") for _ in range(30)]
    client = SimulatedClient(sim, 30)
    sim.restrict(None)
    assert all(one.ended == [Ending.OPENED] for one in own[1:])
    sim.loop.run(0.1)
    assert client.admitted == 30


def test_the_expected_admission_follows_the_longest_queue() -> None:
    sim = SimulatedGates()
    sim.restrict(2)
    sim.restrict(10, "a")
    outer, inner = sim.tree.root.limiting, sim.tree.gates["a"].limiting
    assert outer.secs_until_turn(5) == 1 / 2
    for _ in range(20):
        sim.ask("b", 5)
        sim.ask("a/x", 3)
    client = SimulatedClient(sim, 40, "a", priority=7)
    sim.loop.run(0.01)
    waiting = 20 + 20 + 40 - sim.count()
    assert outer.secs_until_turn(0) == pytest.approx((waiting + 1) / 2)
    assert inner.secs_until_turn(0) == outer.secs_until_turn(0), "a request needs a token of both limits"
    assert outer.secs_until_turn(8) == 1 / 2, "requests of lower priority are admitted later"
    sim.restrict(100)
    assert inner.secs_until_turn(0) < 61 / 10 + 0.2
    sim.loop.run(60)
    assert not client.waiting
    assert [outer.secs_until_turn(0), inner.secs_until_turn(0)] == [1 / 100, 1 / 10], "all have passed"


def test_a_new_rate_applies_at_once() -> None:
    sim = SimulatedGates()
    sim.restrict(0.01)
    own = [sim.ask() for _ in range(60)]
    sim.loop.run(5)
    sim.restrict(20)
    sim.loop.run(4)
    assert all(one.ended for one in own)
    assert sim.worst_excess(20, since=1001.0) <= 2 + 1e-6


def test_a_gate_that_closes_keeps_all_waiters_and_notifies_its_clients() -> None:
    sim = SimulatedGates()
    sim.restrict(10)
    own = [sim.ask() for _ in range(30)]
    client = SimulatedClient(sim, 30, pause=0.2)
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
        sim = SimulatedGates(Policy(resume_ramp_per_sec=10, wait_timeout_secs=1e6))
        sim.update(**{**before, "a": ScopeRecord(manual=HOLD)})
        client = SimulatedClient(sim, 30, "a", pause=0.07)
        sim.update(**before)
        client.ask()
        sim.loop.run(steps * 0.03)
        sim.update(**after)
        passed = len(sim.admitted)
        assert client.demand is None
        sim.loop.run(10)
        assert len(sim.admitted) == passed


def test_a_new_scope_takes_over_its_waiters_under_both_restrictions() -> None:
    sim = SimulatedGates()
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
