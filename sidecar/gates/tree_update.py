"""One change of the gate tree, and the nodes of the tree.

`GateTree` computes the change, makes it visible, and settles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.values import ScopeRecord

from .gate import GateState, ScopeGate
from .inheritance import NOTHING_INHERITED, Inherited, inherited_from
from .staged_state import StagedStates

_RELEASED_AT_ONCE = 32


class TreeNode:
    """A node of the tree: one path. Its scope may be known or not.

    Attributes:
        path: the path.
        parent: the node one segment up; None for the root.
        children: the nodes one segment down, by path.
        placed: the gate of the scope, even if a change that is still in progress adds it; None: there is
            none.
    """

    __slots__ = ("children", "parent", "path", "placed")

    def __init__(self, path: str, parent: TreeNode | None) -> None:
        self.path = path
        self.parent = parent
        self.children: dict[str, TreeNode] = {}
        self.placed: ScopeGate | None = None

    @property
    def gate(self) -> ScopeGate | None:
        """The gate of the scope; None: the scope is not known."""
        gate = self.placed
        if gate is None or gate.following is None or gate.following.is_known:
            return gate
        return None

    def gate_above(self) -> ScopeGate | None:
        """The gate of the nearest known ancestor."""
        node = self.parent
        while node is not None and node.gate is None:
            node = node.parent
        return None if node is None else node.gate


@dataclass(slots=True)
class TreeUpdate:
    """A change of the tree.

    Attributes:
        records: the new records by scope; None: the scope is forgotten.
        now: monotonic time of the change.
        policies: the new policies; None: they do not change.
        opened: gates that open or whose limits change, and open gates that receive requests from another
            gate.
        closed: gates that close.
        changed: gates whose snapshot differs.
        added: new gates by scope.
        forgotten: gates whose scope is forgotten.
        gate_changes: the new gates of nodes; None: the node loses its gate.
        inherited: what scopes inherit from each affected gate after the change.
        states: each gate with its new state, whether it blocks, and its old state.
        new_policies: the new policies by gate.
        staged: makes the new states visible.
    """

    records: Mapping[str, ScopeRecord | None]
    now: float
    policies: PolicyTable | None = None
    opened: dict[ScopeGate, None] = field(default_factory=dict)
    closed: dict[ScopeGate, None] = field(default_factory=dict)
    changed: dict[ScopeGate, None] = field(default_factory=dict)
    added: dict[str, ScopeGate] = field(default_factory=dict)
    forgotten: list[ScopeGate] = field(default_factory=list)
    gate_changes: dict[TreeNode, ScopeGate | None] = field(default_factory=dict)
    inherited: dict[ScopeGate, Inherited] = field(default_factory=dict)
    states: list[tuple[ScopeGate, GateState, bool, GateState]] = field(default_factory=list)
    new_policies: dict[ScopeGate, Policy] = field(default_factory=dict)
    staged: StagedStates | None = None

    def release(self) -> Iterator[None]:
        """Release the objects of this change, a few in each step. Releasing all at once would take long."""
        for listed in (self.states, self.forgotten):
            while listed:
                del listed[-_RELEASED_AT_ONCE:]
                yield
        for some in (
            self.inherited,
            self.new_policies,
            self.gate_changes,
            self.added,
            self.opened,
            self.closed,
            self.changed,
        ):
            while some:
                for _ in range(min(len(some), _RELEASED_AT_ONCE)):
                    some.popitem()
                yield

    @property
    def structure_changed(self) -> bool:
        """Whether a scope was added or forgotten, so that paths may belong to other gates."""
        return bool(self.added or self.forgotten)

    def gate_at(self, node: TreeNode) -> ScopeGate | None:
        """The gate at ``node`` after the change."""
        return self.gate_changes.get(node, node.gate)

    def gate_above(self, node: TreeNode) -> ScopeGate | None:
        """The gate of the nearest ancestor that is known after the change."""
        above = node.parent
        while above is not None:
            gate = self.gate_at(above)
            if gate is not None:
                return gate
            above = above.parent
        return None

    def inherited_from(self, gate: ScopeGate | None) -> Inherited:
        """What scopes inherit from ``gate`` after the change."""
        if gate is None:
            return NOTHING_INHERITED
        return self.inherited.get(gate) or inherited_from(gate.state)


def merge_changes(updates: list[TreeUpdate], now: float) -> TreeUpdate:
    """Merge ``updates`` into one update for parked requests and event streams.

    Args:
        updates: completed changes of the tree that forget no scope.
        now: monotonic time.
    """
    if len(updates) == 1:
        return updates[0]
    merged = TreeUpdate({scope: one for update in updates for scope, one in update.records.items()}, now)
    for update in updates:
        merged.added |= update.added
        merged.changed |= update.changed
        for gate in (*update.opened, *update.closed):
            # The gate may have changed again.
            (merged.closed if gate.closed else merged.opened)[gate] = None
    return merged
