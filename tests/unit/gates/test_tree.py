"""The tree of known scopes, whatever the order in which they are named and forgotten."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT, ancestors_of
from sidecar.core.values import EMPTY
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom

SCOPES = st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=4).map("/".join)


@given(steps=st.lists(st.dictionaries(SCOPES, st.sampled_from((EMPTY, None)), max_size=4), max_size=12))
def test_each_gate_hangs_below_its_nearest_known_ancestor(steps: list[dict]) -> None:
    loop = asyncio.new_event_loop()
    try:
        tree = GateTree(PolicyTable(), 0, WaitingRoom(loop, Counters()))
        for records in steps:
            tree.update(records, 0.0)
            known = tree.gates
            for scope, gate in known.items():
                if scope == ROOT:
                    continue
                nearest = next(path for path in ancestors_of(scope) if path in known)
                assert gate.parent is known[nearest]
                assert gate in set(tree.children(gate.parent))
            assert sum(len([*tree.children(gate)]) for gate in known.values()) == len(known) - 1
    finally:
        loop.close()
