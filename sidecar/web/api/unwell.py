"""Finds the scopes that are not well or not open, and names similar to a misspelt one, in time slices.

Up to 20,000 scopes may be known. Each slice runs in the event loop for `_SLICE_SECS` at most, so that gate
requests are answered in between. A change between two slices may or may not be visible.
"""

from __future__ import annotations

import difflib
import heapq
import io
import os.path
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol, TypeVar

from sidecar.core.scope import lies_within, parent_of
from sidecar.core.state import WellbeingState
from sidecar.gates.gate import ScopeGate
from sidecar.gates.tree import GateTree

MAX_UNWELL = 100
"""The most scopes that a status lists. Its total counts all of them."""

_SLICE_SECS = 0.001
_CHUNK_SIZE = 64
_SORTED_AT_ONCE = 1_000
_CANDIDATES = 200
_MIN_SIMILARITY = 0.75

T = TypeVar("T")
R = TypeVar("R")


class CallInLoop(Protocol):
    """Calls a function in the event loop, from a thread."""

    def __call__(self, function: Callable[[], T], /) -> T:
        """Return the result of ``function``."""


@dataclass(frozen=True, slots=True)
class Unwell:
    """The scopes that are not well or not open.

    Attributes:
        worst: the gates to list, worst first.
        total: how many there are.
        closed: how many of them are not open.
    """

    worst: list[ScopeGate]
    total: int
    closed: int


def in_slices(call_in_loop: CallInLoop, items: Iterable[T], make: Callable[[T], R]) -> list[R]:
    """Call ``make`` with each of ``items`` in the loop, slice by slice; return the results.

    Args:
        call_in_loop: calls a function in the loop.
        items: read in the loop as well.
        make: takes much less time than a slice.
    """
    source = iter(items)
    made: list[R] = []

    def one_slice() -> bool:
        until = time.perf_counter() + _SLICE_SECS
        for item in source:
            made.append(make(item))
            if time.perf_counter() > until:
                return True
        return False

    while call_in_loop(one_slice):
        pass
    return made


def read_gates(
    call_in_loop: CallInLoop, tree: GateTree, scope: str, make: Callable[[ScopeGate], R | None]
) -> list[list[R]]:
    """The results of ``make``, without None, for ``scope``, if it is known, and all known scopes inside it.

    Call it in a thread. The names are copied as one string, and the results stay in short lists. A list of
    all gates would be scanned by the next collections of young objects, each of which would hold the loop for
    milliseconds.

    Args:
        call_in_loop: calls a function in the loop.
        tree: the gates.
        scope: the scope.
        make: called in the loop; takes a few microseconds.
    """
    lines = io.StringIO(call_in_loop(lambda: "\n".join(tree.gates)) + "\n")
    names = (one for line in lines if lies_within(one := line[:-1], scope))
    chunks: list[list[str]] = []
    while chunk := list(islice(names, _CHUNK_SIZE)):
        chunks.append(chunk)

    def make_all(chunk: list[str]) -> list[R]:
        gates = (tree.gates.get(one) for one in chunk)
        return [made for gate in gates if gate is not None and (made := make(gate)) is not None]

    return in_slices(call_in_loop, chunks, make_all)


def find_unwell(call_in_loop: CallInLoop, tree: GateTree, scope: str) -> Unwell:
    """The scopes that are not well or not open: ``scope`` and all known scopes inside it.

    Worst first: sorted by own state, then scopes with their own hold, then scopes that an ancestor closes,
    then by name.
    """
    found = _select(call_in_loop, tree, scope, is_unwell)
    worst = heapq.nsmallest(MAX_UNWELL, found, key=_rank)
    return Unwell(worst, len(found), sum(gate.closed for gate in found))


def gates_inside(call_in_loop: CallInLoop, tree: GateTree, scope: str) -> list[ScopeGate]:
    """The gates of all known scopes inside ``scope``, without ``scope`` itself, by name."""
    found = _select(call_in_loop, tree, scope, lambda gate: gate.scope != scope)
    # Sorting twenty thousand names at once would block other threads for several milliseconds.
    parts = [
        sorted(found[start : start + _SORTED_AT_ONCE], key=_scope_of)
        for start in range(0, len(found), _SORTED_AT_ONCE)
    ]
    return list(heapq.merge(*parts, key=_scope_of))


def _scope_of(gate: ScopeGate) -> str:
    return gate.scope


def is_unwell(gate: ScopeGate) -> bool:
    """Whether its own state is not healthy, its gate is not open, or its policy advises something."""
    record = gate.record
    return gate.blocks or record.state is not WellbeingState.HEALTHY or record.advice is not None


def nearest_scope(call_in_loop: CallInLoop, tree: GateTree, scope: str, visible: str) -> str | None:
    """The known scope inside ``visible`` with the most similar name; None: no name is similar."""
    known = call_in_loop(lambda: list(tree.gates))
    # difflib takes a millisecond for a few names, so it compares only names with a similar beginning or end.
    known = [one for one in known if one and lies_within(one, visible)]
    near = heapq.nlargest(_CANDIDATES, known, key=lambda one: _common_length(one, scope))
    beside = [one for one in near if parent_of(one) == parent_of(scope)]
    for names in (beside, near):
        found = difflib.get_close_matches(scope, names, 1, _MIN_SIMILARITY)
        if found:
            return found[0]
    return None


def _common_length(one: str, other: str) -> int:
    begin = len(os.path.commonprefix((one, other)))  # noqa: RUF071 - by characters
    return begin + len(os.path.commonprefix((one[:begin:-1], other[:begin:-1])))  # noqa: RUF071 - by characters


def _select(
    call_in_loop: CallInLoop, tree: GateTree, scope: str, wanted: Callable[[ScopeGate], bool]
) -> list[ScopeGate]:
    chunks = read_gates(call_in_loop, tree, scope, lambda gate: gate if wanted(gate) else None)
    return list(chain.from_iterable(chunks))


def _rank(gate: ScopeGate) -> tuple[object, ...]:
    return -gate.record.state, gate.record.hold is None, not gate.closed, not gate.blocks, gate.scope
