"""Trials and ramps after a pause, in simulated time."""

from __future__ import annotations

import pytest

from harness.simulated_gates import HOLD, SimulatedClient, SimulatedGates
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.values import Restriction, ScopeRecord, Trial
from sidecar.gates.gate import Ending


def test_a_trial_admits_exactly_its_number_of_requests() -> None:
    sim = SimulatedGates()
    sim.update(root=ScopeRecord(manual=HOLD))
    own = [sim.ask() for _ in range(2)]
    client = SimulatedClient(sim, 10)
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
    sim = SimulatedGates()
    restriction = Restriction(1, "slow", 0.0, "agent:x")
    sim.update(root=ScopeRecord(trial=Trial(5, 1000.0, 1030.0, HOLD), restriction=restriction))
    for _ in range(20):
        sim.ask()
    sim.loop.run(2.5)
    assert len(sim.admitted) == 3
    sim.loop.run(20)
    assert len(sim.admitted) == 5


def ramp(rate: float) -> SimulatedGates:
    return SimulatedGates(Policy(resume_ramp_per_sec=rate, wait_timeout_secs=1e6))


def test_after_a_resume_parked_requests_pass_at_the_rate_of_the_ramp_and_new_ones_at_once() -> None:
    sim = ramp(20)
    sim.update(root=ScopeRecord(manual=HOLD))
    own = [sim.ask() for _ in range(40)]
    sim.tree.root.clients["c"] = True
    sim.update(root=ScopeRecord())
    client = SimulatedClient(sim, 20)
    assert sim.tree.root.admit_per_sec == 20
    assert sim.ask().ended == [Ending.OPENED]
    sim.loop.run(1.9)
    assert 36 <= len(sim.admitted) <= 41
    sim.loop.run(2)
    assert all(one.ended == [Ending.OPENED] for one in own)
    assert client.admitted == 20
    sim.loop.run(10)
    assert sim.tree.root.admit_per_sec is None
    assert sim.changes == [sim.tree.root] * 2, "at its begin and its end"


def test_a_client_that_learns_late_of_the_resume_still_gets_the_ramp() -> None:
    sim = ramp(10)
    client = SimulatedClient(sim, 30)
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
