"""The known scopes as a tree of gates, and what each derives from those above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT, ancestors_of, lies_within, parent_of
from sidecar.core.values import ScopeRecord

from .gate import Gate, Waiter
from .waiting_room import WaitingRoom


@dataclass(slots=True)
class TreeUpdate:
    """What a change of records did to gates.

    Attributes:
        opened: gates that were closed.
        closed: gates that were open.
        changed: gates whose snapshot differs.
        reshaped: a scope was named or forgotten, so paths may lead to other gates.
    """

    opened: dict[Gate, None] = field(default_factory=dict)
    closed: dict[Gate, None] = field(default_factory=dict)
    changed: dict[Gate, None] = field(default_factory=dict)
    reshaped: bool = False


class GateTree:
    """Gates by scope.

    Args:
        policies: the config's.
        version: where the versions of snapshots go on from.
        waiting_room: told of waiters that come to obey another gate.
    """

    def __init__(self, policies: PolicyTable, version: int, waiting_room: WaitingRoom) -> None:
        self._policies = policies
        self._version = version
        self._waiting_room = waiting_room
        self.root = Gate(ROOT, None, policies.policy_for(ROOT), self._next_version())
        self.gates: dict[str, Gate] = {ROOT: self.root}
        # How many known scopes lie inside each path, be it known itself or not.
        self._inside: dict[str, int] = {}

    @property
    def version(self) -> int:
        """The highest version given so far."""
        return self._version

    def find(self, scope: str) -> tuple[Gate, str | None]:
        """The gate that ``scope`` obeys, and ``scope`` again if it is not named itself."""
        gate = self.gates.get(scope)
        if gate is not None:
            return gate, None
        for ancestor in ancestors_of(scope):
            gate = self.gates.get(ancestor)
            if gate is not None:
                return gate, scope
        return self.root, scope

    def below(self, scope: str) -> Iterator[Gate]:
        """The gates of ``scope`` and of everything inside it, in no particular order."""
        gate, unnamed = self.find(scope)
        todo = [gate]
        if unnamed is not None:
            todo = [child for child in gate.children.values() if lies_within(child.scope, unnamed)]
        while todo:
            gate = todo.pop()
            yield gate
            todo += gate.children.values()

    def set_policies(self, policies: PolicyTable, now: float) -> TreeUpdate:
        """Let ``policies`` count for every gate, from monotonic ``now`` on."""
        self._policies = policies
        for gate in self.gates.values():
            gate.policy = policies.policy_for(gate.scope)
            # With it goes the ramp, which is told beside the snapshot.
            gate.answer = gate.answer_rest = None
        update = TreeUpdate()
        self._refresh(self.root, update, now, whole=True)
        return update

    def update(self, records: Mapping[str, ScopeRecord | None], now: float) -> TreeUpdate:
        """Make ``records`` true; None forgets a scope. ``now`` is monotonic."""
        update = TreeUpdate()
        named = sorted(scope for scope, record in records.items() if record and scope not in self.gates)
        for scope in named:
            self._name(scope, now)
        if named:
            self._take_in(named)
        homes: dict[Gate, None] = {}
        for scope in sorted(records):
            record, gate = records[scope], self.gates.get(scope)
            if gate is None:
                continue
            if record is None:
                homes.update(dict.fromkeys(self._forget(gate, update)))
            else:
                gate.record = record
                self._refresh(gate, update, now)
        homes.update(dict.fromkeys(self.gates[scope] for scope in named))
        for gate in homes:
            # Who was moved here may have been parked for a gate that is open.
            if gate.waiters and not gate.closed:
                update.opened[gate] = None
        update.reshaped = bool(homes)
        return update

    def _name(self, scope: str, now: float) -> None:
        parent, _ = self.find(parent_of(scope))
        gate = Gate(scope, parent, self._policies.policy_for(scope), self._next_version())
        gate.active_at = now
        # Else each new scope would have all that are beside it looked through.
        if scope in self._inside:
            for child in [child for child in parent.children.values() if lies_within(child.scope, scope)]:
                del parent.children[child.scope]
                child.parent = gate
                gate.children[child.scope] = child
        for path in ancestors_of(scope):
            self._inside[path] = self._inside.get(path, 0) + 1
        parent.children[scope] = gate
        self.gates[scope] = gate

    def _take_in(self, named: Iterable[str]) -> None:
        """Let those who are parked for a path that now is named, or lies inside it, obey it."""
        homes: dict[Gate, None] = {}
        for scope in named:
            homes.update(dict.fromkeys(self.gates[scope].ancestors()))
        for home in homes:
            moved: dict[Gate, list[Waiter]] = {}
            for waiter in [*home.waiters, *home.watchers]:
                if waiter.path is not None:
                    gate, unnamed = self.find(waiter.path)
                    if gate is not home:
                        waiter.path = unnamed
                        moved.setdefault(gate, []).append(waiter)
            for gate, waiters in moved.items():
                self._waiting_room.move(waiters, gate)

    def _forget(self, gate: Gate, update: TreeUpdate) -> Iterator[Gate]:
        parent = gate.parent
        if parent is None:
            return
        del self.gates[gate.scope]
        del parent.children[gate.scope]
        for path in ancestors_of(gate.scope):
            self._inside[path] -= 1
            if not self._inside[path]:
                del self._inside[path]
        for child in gate.children.values():
            child.parent = parent
            parent.children[child.scope] = child
        left = [*gate.waiters, *gate.watchers]
        for waiter in left:
            waiter.path = waiter.path or gate.scope
        self._waiting_room.close(gate)
        self._waiting_room.move(left, parent)
        # A version never comes again: what this scope's watchers saw last was newer than the parent's.
        self._touch(parent, update)
        yield parent

    def _refresh(self, gate: Gate, update: TreeUpdate, now: float, *, whole: bool = False) -> None:
        """Derive ``gate`` anew, and those below it as far as anything changes for them."""
        todo = [gate]
        while todo:
            gate = todo.pop()
            before = (gate.effective, gate.line_hold, gate.held_by)
            self._derive(gate)
            closed = gate.policy.enabled and gate.line_hold is not None
            if closed != gate.closed:
                self._turn(gate, update, now, closed=closed)
            shown = (closed, gate.record.state, gate.effective, gate.hold, gate.held_by if closed else None)
            if shown != gate.shown:
                gate.shown = shown
                self._touch(gate, update)
            if whole or (gate.effective, gate.line_hold, gate.held_by) != before:
                todo += gate.children.values()

    def _derive(self, gate: Gate) -> None:
        parent, record = gate.parent, gate.record
        hold = record.hold
        gate.effective = record.state if parent is None else max(record.state, parent.effective)
        if hold is not None:
            gate.line_hold, gate.held_by = hold, gate.scope
        elif parent is not None:
            gate.line_hold, gate.held_by = parent.line_hold, parent.held_by
        else:
            gate.line_hold = gate.held_by = None

    def _turn(self, gate: Gate, update: TreeUpdate, now: float, *, closed: bool) -> None:
        if closed:
            gate.closed_at = gate.counted_at = now
            update.closed[gate] = None
            update.opened.pop(gate, None)
        else:
            gate.paused_secs += gate.counted_pause(now)
            update.opened[gate] = None
            update.closed.pop(gate, None)
        gate.closed = closed

    def _touch(self, gate: Gate, update: TreeUpdate) -> None:
        gate.version = self._next_version()
        gate.answer = gate.answer_rest = None
        update.changed[gate] = None

    def _next_version(self) -> int:
        self._version += 1
        return self._version
