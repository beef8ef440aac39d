"""Compares the tree of gates with a naive model, for changes in any order and grouping.

The model stores records, policies and the parked requests by path, and computes everything else from these
each time. After every step the tree must show the same, and every notified request must have received the
snapshot of that moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.examples import examples
from harness.simulated_gates import move_waiters
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import ROOT, ancestors_of
from sidecar.core.state import WellbeingState
from sidecar.core.values import AdviceCause, Hold, HoldKind, ScopeRecord
from sidecar.gates import tree as tree_module
from sidecar.gates.counters import Counters
from sidecar.gates.gate import Ending, GateState, ScopeGate, Waiter
from sidecar.gates.snapshot import snapshot_of
from sidecar.gates.tree import GateTree
from sidecar.gates.tree_update import TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom

ADVICE = Hold(HoldKind.AUTO, "advised", 1.0, None, "alert:a", advised=AdviceCause.OBSERVES)
HOLDS = [Hold(HoldKind.MANUAL, f"reason {number}", 1.0, None, "op") for number in range(2)]
RECORDS = st.one_of(
    st.none(),
    st.builds(
        ScopeRecord,
        state=st.sampled_from(WellbeingState),
        auto=st.one_of(st.none(), st.sampled_from([*HOLDS, ADVICE])),
        manual=st.one_of(st.none(), st.sampled_from(HOLDS)),
    ),
)
PATHS = st.lists(st.sampled_from("ab"), max_size=4).map("/".join)
BATCHES = st.dictionaries(PATHS, RECORDS, max_size=6)
POLICIES = st.lists(st.tuples(PATHS, st.sampled_from((Policy(), Policy(enabled=False)))), max_size=3).map(
    lambda rules: PolicyTable(rules=tuple(rules))
)


class Parked(Waiter):
    """A request or watch parked for the path ``asked``. It records the snapshots that it receives."""

    def __init__(self, asked: str) -> None:
        self.gate = None
        self.asked = asked
        self.told: list[tuple[Ending, dict]] = []

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        self.told.append((ending, snapshot_of(gate, self.path).to_json()))


@dataclass
class Model:
    """Computes everything from the records."""

    records: dict[str, ScopeRecord] = field(default_factory=lambda: {ROOT: ScopeRecord()})
    policies: PolicyTable = field(default_factory=PolicyTable)

    def line(self, path: str) -> list[str]:
        """The known scopes from ``path`` up to the root, nearest first."""
        return [scope for scope in (path, *ancestors_of(path)) if scope in self.records]

    def shows(self, path: str) -> dict:
        """The snapshot of ``path`` without its version."""
        line = self.line(path)
        home = line[0]
        holder = next((scope for scope in line if self.records[scope].hold), None)
        closed = holder is not None and self.policies.policy_for(home).enabled
        adviser = next((scope for scope in line if self.records[scope].advice), None)
        advised = adviser is not None and self.policies.policy_for(home).enabled
        own = self.records[path].state if path in self.records else WellbeingState.HEALTHY
        return {
            "scope": path,
            "gate": "closed" if closed else "open",
            "state": own.label,
            "effective_state": max(self.records[scope].state for scope in line).label,
            "reason": self.records[holder].hold.reason if closed else None,
            "held_by": holder if closed else None,
            "advice": {"reason": ADVICE.reason, "since": "1970-01-01T00:00:01.000Z", "until": None}
            if advised
            else None,
        }


def without_version(shot: dict) -> dict:
    names = ("scope", "gate", "state", "effective_state", "reason", "held_by", "advice")
    return {name: shot[name] for name in names}


class TreeMachine(RuleBasedStateMachine):
    """Batches of records, reloads and parked requests, in every order."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.room = WaitingRoom(self.loop, Counters())
        self.tree = GateTree(PolicyTable(), 0, self.room)
        self.model = Model()
        self.waiters: list[Parked] = []
        self.watchers: list[Parked] = []
        self.seen: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    # -- commands ---------------------------------------------------------------------------------

    @rule(records=BATCHES, read=st.lists(PATHS, max_size=3))
    def batch(self, records: dict, read: list[str]) -> None:
        self._apply(records, None, read)

    @rule(path=PATHS, record=RECORDS)
    def one_scope_at_once(self, path: str, record: ScopeRecord | None) -> None:
        self._apply({path: record}, None, [], at_once=True)

    @rule(records=BATCHES, policies=POLICIES, read=st.lists(PATHS, max_size=3))
    def reload(self, records: dict, policies: PolicyTable, read: list[str]) -> None:
        self._apply(records, policies, read)

    def _apply(
        self, records: dict, policies: PolicyTable | None, read: list[str], *, at_once: bool = False
    ) -> None:
        before = {parked: self.model.shows(parked.asked) for parked in self.waiters + self.watchers}
        update = TreeUpdate(records, 1.0, policies)
        states = {scope: gate.state for scope, gate in self.tree.gates.items()}
        changed = at_once and self.tree.change_leaf(update)
        assert changed or {scope: gate.state for scope, gate in self.tree.gates.items()} == states
        if not changed:
            for _ in self.tree.prepare(update):
                assert {scope: gate.state for scope, gate in self.tree.gates.items()} == states, (
                    "the prepared state is not visible"
                )
            self.tree.apply(update)
        for scope, record in records.items():
            if record is not None:
                self.model.records[scope] = record
            elif scope != ROOT:
                self.model.records.pop(scope, None)
        self.model.policies = policies or self.model.policies
        # A reader that reads a gate before the gate has its new state sees the new state.
        for path in read:
            gate, unnamed = self.tree.find(path)
            assert without_version(snapshot_of(gate, unnamed).to_json()) == self.model.shows(path)
        for _ in self.tree.settle(update):
            pass
        assert not any(gate.following for gate in self.tree.gates.values())
        self.showing_is_right()
        for _ in self.tree.reassign(update):
            pass
        move_waiters(self.room, update)
        for gate in update.changed:
            for _ in self.room.notify_watchers(gate):
                pass
        self._told(before)

    def _told(self, before: dict[Parked, dict]) -> None:
        """Check that each waiter and watcher was notified of its change, with the right snapshot."""
        for parked in self.waiters + self.watchers:
            for ending, shot in parked.told:
                assert ending is (Ending.CHANGED if parked.watching else Ending.OPENED)
                assert without_version(shot) == self.model.shows(parked.asked)
        for waiter in self.waiters:
            assert bool(waiter.told) is (self.model.shows(waiter.asked)["gate"] == "open"), "no lost wake-up"
        for watcher in self.watchers:
            assert watcher.told or self.model.shows(watcher.asked) == before[watcher], "no lost change"
        self.waiters = [waiter for waiter in self.waiters if not waiter.told]
        self.watchers = [watcher for watcher in self.watchers if not watcher.told]

    @rule(path=PATHS)
    def request(self, path: str) -> None:
        gate, unnamed = self.tree.find(path)
        gate.requests += 1
        if gate.closed:
            waiter = Parked(path)
            assert self.room.request(waiter, gate, unnamed, 60) is None
            self.waiters.append(waiter)

    @rule(path=PATHS)
    def watch(self, path: str) -> None:
        gate, unnamed = self.tree.find(path)
        watcher = Parked(path)
        assert self.room.watch(watcher, gate, unnamed, 60) is None
        self.watchers.append(watcher)

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiters))
        self.room.abandon(waiter)
        self.waiters.remove(waiter)

    # -- invariants ------------------------------------------------------------------------------

    @invariant()
    def showing_is_right(self) -> None:
        if not hasattr(self, "model"):
            return
        assert set(self.tree.gates) == set(self.model.records)
        for scope, gate in self.tree.gates.items():
            record = self.model.records[scope]
            line = self.model.line(scope)
            holder = next((one for one in line if self.model.records[one].hold), None)
            assert gate.record == record
            assert gate.effective == max(self.model.records[one].state for one in line)
            assert gate.held_by == holder
            assert gate.nearest_hold == (None if holder is None else self.model.records[holder].hold)
            adviser = next((one for one in line if self.model.records[one].advice), None)
            assert gate.state.advised_by == adviser
            assert gate.state.nearest_advice == (None if adviser is None else ADVICE)
            assert (gate.advice is not None) is (self.model.shows(scope)["advice"] is not None)
            assert gate.policy == self.model.policies.policy_for(scope)
            assert gate.closed is gate.state.closed is (self.model.shows(scope)["gate"] == "closed")
            assert gate.parent is (self.tree.gates[line[1]] if line[1:] else None)
        for scope, gate in self.tree.gates.items():
            inside = {one for one in self.tree.gates if self.model.line(one)[1:2] == [scope]}
            assert {child.scope for child in self.tree.children(gate)} == inside
        assert {gate.scope for gate in self.tree.below(ROOT)} == set(self.model.records)

    @invariant()
    def versions_only_grow(self) -> None:
        if not hasattr(self, "model"):
            return
        for path in ("a", "a/b", "b/a/b", "a/a/a/a", *self.tree.gates):
            version = self.tree.find(path)[0].version
            assert version >= self.seen.get(path, 0)
            self.seen[path] = version

    @invariant()
    def everything_parked_is_at_its_home(self) -> None:
        if not hasattr(self, "model"):
            return
        for parked in self.waiters + self.watchers:
            gate, unnamed = self.tree.find(parked.asked)
            assert (parked.gate, parked.path) == (gate, unnamed)
            assert parked in (gate.watchers if parked.watching else gate.waiters)
        assert self.room.waiting == len(self.waiters)
        assert self.room.watching == len(self.watchers)
        assert sum(len(gate.waiters) for gate in self.tree.gates.values()) == len(self.waiters)

    @invariant()
    def nothing_is_left_over(self) -> None:
        if not hasattr(self, "model"):
            return
        known = set(self.tree.gates)
        assert set(self.tree._nodes) == known | {path for scope in known for path in ancestors_of(scope)}
        unnamed = {parked.path for parked in self.waiters + self.watchers if parked.path}
        assert bool(len(self.room._unnamed)) is bool(unnamed)

    @invariant()
    def every_gate_conserves(self) -> None:
        if not hasattr(self, "model"):
            return
        for gate in self.tree.gates.values():
            ended = gate.waited + gate.timed_out + gate.abandoned + gate.rejected
            assert gate.blocked == ended + gate.waiting


TestTree = TreeMachine.TestCase
TestTree.settings = settings(max_examples=examples(15), stateful_step_count=15)


@pytest.fixture
def tree() -> GateTree:
    loop = asyncio.new_event_loop()
    yield GateTree(PolicyTable(), 0, WaitingRoom(loop, Counters()))
    loop.close()


def test_a_scope_resumed_and_forgotten_in_one_batch_leaves_the_scopes_below_open(tree: GateTree) -> None:
    tree.update({"a": ScopeRecord(manual=HOLDS[0]), "a/d": ScopeRecord()}, 0.0)
    assert tree.gates["a/d"].closed
    tree.update({"a": None}, 1.0)
    assert not tree.gates["a/d"].closed
    assert tree.gates["a/d"].held_by is None


def test_policies_and_records_of_one_batch_are_one_change(tree: GateTree) -> None:
    off = PolicyTable(rules=(("", Policy(enabled=False)),))
    tree.update({"": ScopeRecord(auto=HOLDS[0])}, 0.0, off)
    watcher = Parked("")
    tree.waiting_room.watch(watcher, tree.root, None, 60)
    update = tree.update({"": ScopeRecord()}, 1.0, PolicyTable())
    assert not update.closed
    assert not update.changed, "the gate was open before and is open after, so watchers see no change"


def steps_to(tree: GateTree, records: dict) -> int:
    update = TreeUpdate(records, 0.0)
    steps = sum(1 for _ in tree.prepare(update))
    tree.apply(update)
    return steps + sum(1 for _ in tree.settle(update)) + sum(1 for _ in tree.reassign(update))


def test_a_cached_response_is_valid_for_its_version_and_policy(tree: GateTree) -> None:
    tree.update({"": ScopeRecord(), "a": ScopeRecord()}, 0.0)
    gate = tree.gates["a"]
    gate.answer = gate.answer_rest = b"cached"
    tree.update({"a": ScopeRecord()}, 1.0)
    assert gate.answer == gate.answer_rest == b"cached"
    # The rate of the ramp is a header of the response.
    tree.update({}, 2.0, PolicyTable(Policy(resume_ramp_per_sec=9.0)))
    assert gate.answer is gate.answer_rest is None
    gate.answer = gate.answer_rest = b"cached"
    tree.update({"a": ScopeRecord(manual=HOLDS[0])}, 3.0)
    assert gate.answer is gate.answer_rest is None


def test_the_work_to_create_parents_is_linear(tree: GateTree) -> None:
    many = 400
    steps_to(tree, {f"ns-{number}/pod": ScopeRecord() for number in range(many)})
    assert steps_to(tree, {f"ns-{number}": ScopeRecord() for number in range(many)}) <= 6 * many
    assert steps_to(tree, {f"ns-{number}": None for number in range(many)}) <= 6 * many


def test_creating_a_scope_examines_only_requests_parked_for_that_scope(tree: GateTree) -> None:
    for number in range(500):
        tree.waiting_room.watch(Parked(""), tree.root, f"team/agent-{number}", 60)
    assert steps_to(tree, {"other": ScopeRecord()}) < 10
    assert steps_to(tree, {"team/agent-7": ScopeRecord()}) < 10


def test_every_step_of_a_change_of_many_scopes_is_small(tree: GateTree) -> None:
    many = 500
    steps_to(tree, {f"ns/pod-{number}": ScopeRecord() for number in range(many)})
    # One step for every few scopes, even if none of them changes.
    assert steps_to(tree, {"ns": ScopeRecord()}) >= many / 8


def test_a_new_state_replaces_the_old_one_in_one_step(tree: GateTree) -> None:
    before = tree.root.state
    tree.update({"": ScopeRecord(manual=HOLDS[0])}, 5.0)
    assert before == GateState(version=1)
    assert tree.root.state.closed_at == 5.0


def test_advice_closes_no_gate_and_its_time_is_counted(tree: GateTree) -> None:
    advised = ScopeRecord(WellbeingState.DISTRESSED, auto=ADVICE)
    tree.update({"a": advised, "a/b": ScopeRecord(), "c": ScopeRecord()}, 10.0)
    inside = tree.gates["a/b"]
    assert [gate.advice for gate in (tree.gates["a"], inside, tree.gates["c"])] == [ADVICE, ADVICE, None]
    assert not any(gate.closed for gate in tree.gates.values())
    tree.update({"a/b": advised, "a": ScopeRecord(manual=HOLDS[0])}, 14.0)
    assert inside.closed
    assert inside.advice is ADVICE, "the gate would be closed without the operator's hold as well"
    tree.update({"a/b": ScopeRecord()}, 20.0)
    assert (inside.advised_secs(30.0), tree.gates["a"].advised_secs(30.0)) == (10.0, 4.0)


def test_a_disabled_scope_gets_no_advice(tree: GateTree) -> None:
    off = PolicyTable(rules=(("a", Policy(enabled=False)),))
    tree.update({"": ScopeRecord(auto=ADVICE), "a": ScopeRecord()}, 0.0, off)
    assert (tree.root.advice, tree.gates["a"].advice) == (ADVICE, None)


@pytest.mark.parametrize("prefix", ["", "inside/"], ids=["gates far apart", "gates of one scope"])
def test_no_step_of_a_change_computes_many_gates(
    tree: GateTree, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, derived, most = 200, 0, 0
    compute = tree_module.derive

    def count(*arguments: Any) -> Any:
        nonlocal derived
        derived += 1
        return compute(*arguments)

    monkeypatch.setattr(tree_module, "derive", count)
    for records in (
        {f"{prefix}ns-{number}/pod": ScopeRecord() for number in range(many)},
        {f"{prefix}ns-{number}/pod": ScopeRecord(manual=HOLDS[0]) for number in range(many)},
        {f"{prefix}ns-{number}": ScopeRecord() for number in range(many)},
        {"": ScopeRecord(manual=HOLDS[1])},
    ):
        update = TreeUpdate(records, 1.0)
        for _ in tree.prepare(update):
            most, derived = max(most, derived), 0
        tree.apply(update)
        for _ in tree.reassign(update):
            pass
    assert most <= 8


def test_no_step_moves_the_requests_of_many_gates(tree: GateTree) -> None:
    many = 200
    for record in (ScopeRecord(), None):
        update = TreeUpdate({f"ns-{number}": record for number in range(many)}, 1.0)
        for _ in tree.prepare(update):
            pass
        tree.apply(update)
        assert sum(1 for _ in tree.reassign(update)) >= many


def test_the_objects_of_an_update_are_released_in_pieces(tree: GateTree) -> None:
    update = tree.update({f"ns-{number}": ScopeRecord() for number in range(200)}, 1.0)
    left = len(update.states) + len(update.inherited)
    for _ in update.release():
        now_left = len(update.states) + len(update.inherited)
        assert now_left >= left - 40
        left = now_left
    assert not update.states
    assert not update.inherited
    assert tree.gates["ns-7"].state.version > 0
