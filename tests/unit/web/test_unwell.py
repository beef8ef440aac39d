"""The scopes that a status lists. The search for them runs in small time slices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY, AdviceCause, Hold, HoldKind, ScopeRecord
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom
from sidecar.web.api import unwell
from sidecar.web.api.unwell import (
    MAX_UNWELL,
    find_unwell,
    gates_inside,
    in_slices,
    nearest_scope,
    read_gates,
)

HOLD = Hold(HoldKind.MANUAL, "x", 1.0, None, "me")
ADVICE = Hold(HoldKind.AUTO, "x", 1.0, None, "alert:a", advised=AdviceCause.OBSERVES)
DISTRESSED, CAUTIOUS = ScopeRecord(WellbeingState.DISTRESSED), ScopeRecord(WellbeingState.CAUTIOUS)


@pytest.fixture
def tree() -> Iterator[GateTree]:
    loop = asyncio.new_event_loop()
    yield GateTree(PolicyTable(), 0, WaitingRoom(loop, Counters()))
    loop.close()


def directly(function):
    return function()


def test_the_worst_scopes_come_first_and_those_closed_by_an_ancestor_last(tree: GateTree) -> None:
    tree.update(
        {
            "a": ScopeRecord(manual=HOLD), "a/1": EMPTY, "a/2": CAUTIOUS, "b": DISTRESSED, "c": CAUTIOUS,
            "c/1": EMPTY, "d": ScopeRecord(WellbeingState.DISTRESSED, auto=HOLD), "e": EMPTY,
            "f": ScopeRecord(auto=ADVICE), "f/1": EMPTY,
        },
        0.0,
    )  # fmt: skip
    found = find_unwell(directly, tree, "")
    assert [gate.scope for gate in found.worst] == ["d", "b", "a/2", "c", "a", "a/1", "f"]
    assert (found.total, found.closed) == (7, 4)
    assert [gate.scope for gate in find_unwell(directly, tree, "a").worst] == ["a/2", "a", "a/1"]
    assert find_unwell(directly, tree, "nobody").total == 0
    assert [gate.scope for gate in gates_inside(directly, tree, "a")] == ["a/1", "a/2"]


def test_the_list_is_limited_and_the_total_is_complete(tree: GateTree) -> None:
    tree.update({f"agent-{number:04d}": CAUTIOUS for number in range(500)}, 0.0)
    found = find_unwell(directly, tree, "")
    assert (len(found.worst), found.total) == (MAX_UNWELL, 500)


def test_the_search_never_blocks_the_loop_for_all_scopes_at_once(tree: GateTree, monkeypatch) -> None:
    tree.update({f"agent-{number:04d}": CAUTIOUS for number in range(1_000)}, 0.0)
    # A slice that ends at once does one piece of work.
    monkeypatch.setattr(unwell, "_SLICE_SECS", -1.0)
    calls = []

    def in_loop(function):
        calls.append(function)
        return function()

    assert find_unwell(in_loop, tree, "").total == 1_000
    assert len(calls) >= 1_000 / 64


def test_the_values_read_of_many_gates_are_kept_in_short_lists(tree: GateTree) -> None:
    """The garbage collector would scan a long list in one go."""
    names = [f"agent-{number:04d}" for number in range(1_000)]
    tree.update(dict.fromkeys([*names, "agent-0007/x"], CAUTIOUS), 0.0)
    results = []

    def in_loop(function):
        results.append(function())
        return results[-1]

    chunks = read_gates(in_loop, tree, "", lambda gate: gate.scope or None)
    assert sorted(scope for chunk in chunks for scope in chunk) == sorted([*names, "agent-0007/x"])
    assert max(map(len, chunks)) <= 64
    assert not any(isinstance(one, list) for one in results), "the search returns no list"
    inside = read_gates(directly, tree, "agent-0007", lambda gate: gate.scope)
    assert inside == [["agent-0007", "agent-0007/x"]]
    assert read_gates(directly, tree, "agent", lambda gate: gate.scope) == []


def test_a_tree_with_only_the_root_has_one_scope(tree: GateTree) -> None:
    assert read_gates(directly, tree, "", lambda gate: gate.scope) == [[""]]


def test_slices_produce_every_value_once_and_in_order(monkeypatch) -> None:
    monkeypatch.setattr(unwell, "_SLICE_SECS", -1.0)
    assert in_slices(directly, range(10), str) == [str(one) for one in range(10)]
    assert in_slices(directly, [], str) == []


@pytest.mark.parametrize(
    ("scope", "visible", "near"),
    [
        ("team-a/lama", "", "team-a/llama"),
        ("team-a/llama-7b", "", "team-a/llama"),
        ("taem-a/llama", "", "team-a/llama"),
        ("team-a/llama", "team-b", None),
        ("nothing/like/it", "", None),
    ],
)
def test_a_suggested_name_is_known_similar_and_visible(
    tree: GateTree, scope: str, visible: str, near: str
) -> None:
    tree.update({"team-a/llama": EMPTY, "team-a": EMPTY, "team-b/x": EMPTY}, 0.0)
    assert nearest_scope(directly, tree, scope, visible) == near


def test_a_sibling_is_preferred_to_the_same_name_elsewhere(tree: GateTree) -> None:
    tree.update({"t-12/known": EMPTY, "t-11/knwon": EMPTY}, 0.0)
    assert nearest_scope(directly, tree, "t-12/knwon", "") == "t-12/known"
