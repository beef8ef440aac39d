"""The tree of gates of all known scopes, and the state that each gate inherits from its ancestors.

Rules of this file: a gate's parent and children are never stored. They are read from the tree of paths, so
they cannot be wrong. A change has three parts:

1. `GateTree.prepare` computes the new state of every affected gate, and stages it. It may take many time
   slices, because the new states are not visible yet.
2. `GateTree.apply` makes all new states visible at once. So no request sees a changed scope together with an
   unchanged ancestor or descendant. It takes one step; the gates keep their old states until they are read.
3. `GateTree.settle` gives each gate its new state, and `GateTree.reassign` moves the parked requests that
   belong to another gate now.

The controller makes one change at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT, ancestors_of, parent_of
from sidecar.core.values import ScopeRecord

from .gate import GateState, ScopeGate
from .inheritance import derive, inherited_from
from .staged_state import NextState, StagedStates
from .tree_update import TreeNode, TreeUpdate
from .waiting_room import WaitingRoom

_AT_ONCE = 8
"""Gates that are computed in one step."""


class GateTree:
    """Gates by scope.

    Args:
        policies: the policies of the config.
        version: all snapshot versions are above this.
        waiting_room: holds the parked requests.
        version_step: the difference between successive versions.

    Attributes:
        root: the gate of the root.
        gates: all gates by scope.
    """

    def __init__(
        self, policies: PolicyTable, version: int, waiting_room: WaitingRoom, version_step: int = 1
    ) -> None:
        self._policies = policies
        self._version = version
        self._version_step = version_step
        self.waiting_room = waiting_room
        root = TreeNode(ROOT, None)
        self._nodes: dict[str, TreeNode] = {ROOT: root}
        self.root = root.placed = ScopeGate(
            ROOT, root, policies.policy_for(ROOT), self._next_version(), version_step
        )
        self.gates: dict[str, ScopeGate] = {ROOT: self.root}

    @property
    def version(self) -> int:
        """The highest snapshot version so far."""
        return self._version

    def find(self, scope: str) -> tuple[ScopeGate, str | None]:
        """The gate of ``scope`` and None, or the gate of its nearest known ancestor and ``scope``."""
        gate = self.gates.get(scope)
        if gate is not None:
            return gate, None
        for ancestor in ancestors_of(scope):
            gate = self.gates.get(ancestor)
            if gate is not None:
                return gate, scope
        return self.root, scope

    def below(self, scope: str) -> Iterator[ScopeGate]:
        """The gates of ``scope``, if it is known, and of everything inside it, in no particular order."""
        node = self._nodes.get(scope)
        todo = [] if node is None else [node]
        while todo:
            node = todo.pop()
            if node.gate is not None:
                yield node.gate
            todo += node.children.values()

    def children(self, gate: ScopeGate) -> Iterator[ScopeGate]:
        """The known gates inside ``gate`` without another known gate in between."""
        # Use iterators: a caller that needs a few of ten thousand children does not wait for a copy of all.
        todo = [] if gate.node is None else [iter(gate.node.children.values())]
        while todo:
            node = next(todo[-1], None)
            if node is None:
                todo.pop()
            elif node.gate is not None:
                yield node.gate
            else:
                todo.append(iter(node.children.values()))

    def update(
        self, records: Mapping[str, ScopeRecord | None], now: float, policies: PolicyTable | None = None
    ) -> TreeUpdate:
        """Run all parts of a change without pauses, at start and in tests."""
        update = TreeUpdate(records, now, policies)
        for _ in self.prepare(update):
            pass
        self.apply(update)
        for steps in (self.settle(update), self.reassign(update)):
            for _ in steps:
                pass
        return update

    def change_leaf(self, update: TreeUpdate) -> bool:
        """Make the change of one scope that has no known scopes inside, in one step.

        It does what `prepare`, `apply` and `settle` do, in a third of their time.

        Returns:
            Whether it was made. If not, nothing has changed: there are other scopes, policies or limits.
        """
        if len(update.records) != 1 or update.policies is not None:
            return False
        [(scope, record)] = update.records.items()
        gate = self.gates.get(scope)
        node = self._nodes.get(scope) if gate is None else gate.node
        if record is None or (node is not None and node.children):
            return False
        if node is None:
            node = self._node(scope)
        if gate is None:
            gate = self._new_gate(update, node)
        derived = derive(record, gate, update.inherited_from(node.gate_above()))
        *_, limits, _ = derived
        if limits or gate.state.limits:
            return False
        if scope not in self.gates:
            update.added[scope] = gate
        update.inherited[gate] = derived
        self._compute_state(update, gate, renew=False)
        [(_, state, _, _)] = update.states
        gate.set_state(state)
        if update.added:
            node.placed = self.gates[scope] = gate
            # Without parked requests there is nothing to reassign.
            self.waiting_room.reassigning = self.waiting_room.has_parked
        return True

    # -- part 1: prepare --------------------------------------------------------------------------

    def prepare(self, update: TreeUpdate) -> Iterator[None]:
        """Compute and stage the new states, a few gates per step. They are not visible before `apply`."""
        touched: dict[TreeNode, None] = {}
        yield from self._plan_gates(update, touched)
        if update.policies is not None:
            for scope, gate in list(self.gates.items()):
                update.new_policies[gate] = update.policies.policy_for(scope)
                touched[self._nodes[scope]] = None
                yield
        for node in touched:
            yield from self._derive(update, node)
            yield
        # A version is never reused: a forgotten scope may have a newer version than its nearest ancestor.
        homes: set[ScopeGate] = set()
        for gate in update.forgotten:
            home = update.gate_above(self._nodes[gate.scope])
            if home is not None:
                homes.add(home)
                update.inherited.setdefault(home, update.inherited_from(home))
            yield
        for number, gate in enumerate(update.inherited):
            self._compute_state(update, gate, renew=gate in homes)
            if number % _AT_ONCE == 0:
                yield
        yield from self._stage(update)

    def _plan_gates(self, update: TreeUpdate, touched: dict[TreeNode, None]) -> Iterator[None]:
        """Record which nodes get or lose a gate, and collect the nodes with affected gates."""
        for scope, record in update.records.items():
            gate = self.gates.get(scope)
            if record is not None:
                node = self._node(scope)
                if gate is None:
                    gate = update.gate_changes[node] = update.added[scope] = self._new_gate(update, node)
                touched[node] = None
            elif gate is not None and scope != ROOT:
                node = self._nodes[scope]
                update.gate_changes[node] = None
                update.forgotten.append(gate)
                touched[node] = None
            yield

    def _new_gate(self, update: TreeUpdate, node: TreeNode) -> ScopeGate:
        """A gate at ``node`` with the policy that applies after ``update``. The gate has no state yet."""
        policy = (update.policies or self._policies).policy_for(node.path)
        gate = ScopeGate(node.path, node, policy, 0, self._version_step)
        gate.active_at = update.now
        return gate

    def _derive(self, update: TreeUpdate, node: TreeNode) -> Iterator[None]:
        """Derive the gate at ``node``, and the gates inside it that change."""
        todo = [(node, update.inherited_from(update.gate_above(node)))]
        records, added, gate_changes, inherited = (
            update.records,
            update.added,
            update.gate_changes,
            update.inherited,
        )
        for number in count(1):
            if not todo:
                return
            node, above = todo.pop()
            gate = gate_changes.get(node, node.gate) if gate_changes else node.gate
            derived, changed = above, True
            if gate is not None:
                scope, state = gate.scope, gate.state
                record = records.get(scope) or state.record
                derived = derive(record, gate, above)
                before = inherited.get(gate)
                if before is None and scope not in added:
                    before = inherited_from(state)
                changed = derived != before
                inherited[gate] = derived
            if changed and node.children:
                todo += [(child, derived) for child in node.children.values()]
            if number % _AT_ONCE == 0:
                yield

    def _compute_state(self, update: TreeUpdate, gate: ScopeGate, *, renew: bool) -> None:
        """Compute the new state of ``gate``. ``renew``: increase the version in any case."""
        old = gate.state
        record = update.records.get(gate.scope) or old.record
        (
            effective,
            nearest_hold,
            held_by,
            nearest_advice,
            advised_by,
            limits,
            advised_limits,
        ) = update.inherited[gate]
        policy = update.new_policies.get(gate, gate.policy)
        closed = policy.enabled and nearest_hold is not None
        is_new = gate.scope in update.added
        if closed and not old.closed:
            update.closed[gate] = None
        elif old.closed and not closed:
            update.opened[gate] = None
        effective_limits = limits if policy.enabled else ()
        if not closed and effective_limits != gate.limits:
            update.opened[gate] = None
        advised = policy.enabled and nearest_advice is not None
        new_snapshot = (
            closed,
            record.state,
            effective,
            nearest_hold if closed else None,
            held_by if closed else None,
            effective_limits,
            nearest_advice if advised else None,
            advised_limits,
        )
        version = old.version
        if is_new or renew or new_snapshot != _shown_before(gate, old):
            version = self._next_version()
            update.changed[gate] = None
        state = GateState(
            record, effective, nearest_hold, held_by, closed, version,
            *_closed_times(old, update.now, closed=closed),
            limits, nearest_advice, advised_by, advised,
            *_advised_times(old, update.now, advised=advised),
            advised_limits,
        )  # fmt: skip
        update.states.append((gate, state, closed or bool(effective_limits), old))

    def _stage(self, update: TreeUpdate) -> Iterator[None]:
        staged = update.staged = StagedStates(self.waiting_room.admission)
        has_new_policies = update.policies is not None
        added, new_policies = update.added, update.new_policies
        for number, (gate, state, blocks, old) in enumerate(update.states):
            is_new = gate.scope in added
            # New policies can change a header.
            keeps = state.version == old.version and not has_new_policies
            limited = bool(state.limits or old.limits)
            gate.stage(NextState(staged, state, new_policies.get(gate), is_new, blocks, keeps, limited))
            if is_new and gate.node is not None:
                gate.node.placed = gate
            if number % _AT_ONCE == 0:
                yield
        for number, gate in enumerate(update.forgotten):
            gate.stage(NextState(staged, None))
            if number % _AT_ONCE == 0:
                yield

    def _node(self, path: str) -> TreeNode:
        node = self._nodes.get(path)
        if node is None:
            parent = self._node(parent_of(path))
            node = self._nodes[path] = parent.children[path] = TreeNode(path, parent)
        return node

    # -- parts 2 and 3: apply, settle, reassign -----------------------------------------------------

    def apply(self, update: TreeUpdate) -> None:
        """Make all new states visible at once."""
        if update.staged is None:
            raise RuntimeError("the change is not prepared")
        self.gates.update(update.added)
        for gate in update.forgotten:
            del self.gates[gate.scope]
        if update.policies is not None:
            self._policies = update.policies
        update.staged.visible = True
        if update.structure_changed:
            self.waiting_room.reassigning = True

    def settle(self, update: TreeUpdate) -> Iterator[None]:
        """Give the gates that were not read since `apply` their new states, a few in each step.

        ``update`` still refers to the old states, because releasing them takes as long as replacing them.
        """
        staged = update.staged
        if staged is None:
            return
        for number, (gate, *_) in enumerate(update.states):
            staged.settle(gate)
            if number % _AT_ONCE == 0:
                yield
        for number, gate in enumerate(update.forgotten):
            staged.settle(gate)
            if number % _AT_ONCE == 0:
                yield

    def reassign(self, update: TreeUpdate) -> Iterator[None]:
        """Move the parked requests that belong to another gate now, one per step."""
        room = self.waiting_room
        homes: dict[ScopeGate, None] = {}
        try:
            for gate in update.forgotten:
                home = gate.parent or self.root
                homes[home] = None
                yield from room.supervised(room.move_out(gate, home))
                self._prune(gate.node)
                yield
            for gate in update.added.values():
                homes[gate] = None
                yield from room.supervised(room.move_in(gate))
                yield
        finally:
            room.reassigning = False
        for gate in homes:
            if gate.waiters and not gate.closed:
                update.opened[gate] = None

    def _prune(self, node: TreeNode | None) -> None:
        """Remove ``node`` and its ancestors that have no known scope inside."""
        while node is not None and node.gate is None and not node.children and node.parent is not None:
            if self._nodes.get(node.path) is node:
                del self._nodes[node.path]
                del node.parent.children[node.path]
            node = node.parent

    def show_ramp(self, gate: ScopeGate) -> bool:
        """Show the ramp of ``gate`` as it is now, with a new version.

        Returns whether its snapshot changed.
        """
        shown = gate.admit_per_sec
        admission = self.waiting_room.admission
        if gate.following is not None:
            # The staged state already has a version, and versions must not decrease.
            admission.on_change(gate)
            return False
        gate.ramp_per_sec = admission.ramp_rate(gate)
        if gate.admit_per_sec == shown:
            return False
        gate.set_state(gate.state._replace(version=self._next_version()))
        return True

    def _next_version(self) -> int:
        self._version += self._version_step
        return self._version


def _shown_before(gate: ScopeGate, state: GateState) -> tuple[object, ...]:
    """The values of the snapshot of ``gate`` in its old ``state``, in the order of the new ones."""
    return (
        state.closed,
        state.record.state,
        state.effective,
        state.hold,
        state.held_by if state.closed else None,
        gate.limits,
        state.advice,
        state.advised_limits,
    )


def _closed_times(old: GateState, now: float, *, closed: bool) -> tuple[float, float, float]:
    """The members ``closed_at``, ``counted_at`` and ``paused_secs`` of the state after ``old``."""
    if closed and not old.closed:
        return now, now, old.paused_secs
    if old.closed and not closed:
        return old.closed_at, old.counted_at, old.paused_secs + max(0.0, now - old.counted_at)
    return old.closed_at, old.counted_at, old.paused_secs


def _advised_times(old: GateState, now: float, *, advised: bool) -> tuple[float, float]:
    """The members ``advised_at`` and ``advised_secs`` of the state after ``old``."""
    if advised and not old.advised:
        return now, old.advised_secs
    if old.advised and not advised:
        return old.advised_at, old.advised_secs + max(0.0, now - old.advised_at)
    return old.advised_at, old.advised_secs
