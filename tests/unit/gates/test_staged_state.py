"""A change of many gates becomes visible at once: a request sees all of the change or none of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from harness.waiters import RecordingWaiter
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.values import Hold, HoldKind, Restriction, ScopeRecord
from sidecar.gates.counters import Counters
from sidecar.gates.gate import Ending
from sidecar.gates.tree import GateTree
from sidecar.gates.tree_update import TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom

HELD = ScopeRecord(manual=Hold(HoldKind.MANUAL, "x", 1.0, None, "op"))
SLOW = ScopeRecord(restriction=Restriction(1.0, "slow", 0.0, "agent:x"))
INSIDE = [f"team/{number}" for number in range(40)]


@pytest.fixture
def tree() -> Iterator[GateTree]:
    loop = asyncio.new_event_loop()
    tree = GateTree(PolicyTable(), 0, WaitingRoom(loop, Counters()))
    tree.update({"team": ScopeRecord(), **dict.fromkeys(INSIDE, ScopeRecord())}, 0.0)
    yield tree
    loop.close()


def prepared(
    tree: GateTree, policies: PolicyTable | None = None, **records: ScopeRecord | None
) -> TreeUpdate:
    update = TreeUpdate(records, 1.0, policies)
    for _ in tree.prepare(update):
        pass
    return update


def closed(tree: GateTree) -> set[bool]:
    return {tree.gates[scope].closed for scope in ("team", *INSIDE)}


def test_a_change_becomes_visible_before_its_gates_are_read(tree: GateTree) -> None:
    update = prepared(tree, team=HELD)
    tree.apply(update)
    inside = [tree.gates[scope] for scope in INSIDE]
    assert all(gate.following is not None for gate in inside), "no gate has been read or settled"
    assert closed(tree) == {True}
    assert not any(gate.following for gate in inside)


@pytest.mark.parametrize("read", [0, 7, len(INSIDE)])
def test_settling_is_complete_whichever_gates_were_read_before(tree: GateTree, read: int) -> None:
    update = prepared(tree, team=HELD)
    tree.apply(update)
    for scope in INSIDE[:read]:
        assert tree.gates[scope].blocks
    steps = sum(1 for _ in tree.settle(update))
    assert steps >= len(INSIDE) // 8, "a few gates at a time"
    gates = list(tree.gates.values())
    assert not any(gate.following for gate in gates)
    assert [gate.may_block for gate in gates] == [gate.closed for gate in gates]


def test_a_request_before_the_change_is_visible_passes_and_is_not_counted_as_blocked(tree: GateTree) -> None:
    gate, waiter = tree.gates["team/3"], RecordingWaiter()
    update = prepared(tree, team=HELD)
    assert gate.may_block
    assert tree.waiting_room.request(waiter, gate, None, 60) is Ending.OPENED
    tree.apply(update)
    assert tree.waiting_room.request(waiter, gate, None, 60) is None
    assert (gate.blocked, gate.waiting) == (1, 1)


def test_a_request_passes_an_open_gate_with_a_ramp_while_a_change_of_it_is_prepared(tree: GateTree) -> None:
    ramp = PolicyTable(Policy(resume_ramp_per_sec=0.001))
    tree.update({}, 0.5, ramp)
    gate = tree.gates["team/3"]
    tree.waiting_room.admission.begin_ramp(gate)
    prepared(tree, team=HELD)
    for _ in range(3):
        assert tree.waiting_room.request(RecordingWaiter(), gate, None, 60) is Ending.OPENED


def test_a_restriction_holds_from_the_step_in_which_it_becomes_visible(tree: GateTree) -> None:
    update = prepared(tree, team=SLOW)
    tree.apply(update)
    inside = tree.gates["team/3"]
    assert inside.following is not None
    endings = [tree.waiting_room.request(RecordingWaiter(), inside, None, 60) for _ in range(30)]
    assert endings[-1] is None, "the rate of the parent applies to a gate before the parent was read"
    assert inside.limiting is tree.gates["team"].limiting
    for _ in tree.settle(update):
        pass
    update = prepared(tree, team=ScopeRecord())
    tree.apply(update)
    assert inside.limiting is None


def test_policies_become_visible_together_with_the_states(tree: GateTree) -> None:
    off = PolicyTable(rules=(("team", Policy(enabled=False)),))
    tree.update({"": HELD}, 0.5)
    update = prepared(tree, off)
    assert (closed(tree), tree.gates["team"].policy.enabled) == ({True}, True)
    tree.apply(update)
    assert (tree.gates["team/1"].policy.enabled, closed(tree)) == (False, {False})


def test_scopes_become_known_and_forgotten_in_the_step_in_which_the_change_is_visible(tree: GateTree) -> None:
    forgotten = tree.gates["team"]
    update = prepared(tree, team=None, new=HELD, **{"new/inside": ScopeRecord()})
    assert tree.find("new/inside") == (tree.root, "new/inside")
    assert tree.gates["team/1"].parent is forgotten
    assert {gate.scope for gate in tree.below("new")} == set()
    tree.apply(update)
    assert tree.gates["new/inside"].parent is tree.gates["new"]
    assert tree.gates["new/inside"].closed
    assert tree.find("team") == (tree.root, "team")
    assert tree.gates["team/1"].parent is tree.root
    assert "team" not in {gate.scope for gate in tree.below("team")}


def test_an_abandoned_change_has_no_effect_on_the_next_change(tree: GateTree) -> None:
    given_up = TreeUpdate({"team": HELD, "new": HELD}, 1.0)
    steps = tree.prepare(given_up)
    while tree.gates["team"].following is None:
        next(steps)
    records = {scope: gate.record for scope, gate in tree.gates.items()}
    tree.update({**records, "team/2": HELD, "new/inside": ScopeRecord()}, 2.0)
    assert {scope for scope, gate in tree.gates.items() if gate.closed} == {"team/2"}
    assert not any(gate.following or gate.may_block for gate in tree.gates.values() if not gate.closed)
    assert tree.gates["new/inside"].parent is tree.root
