"""The known scopes as a tree, worst first: counts, the scopes with holds, and the rows of one page.

Up to 20,000 scopes may be known. `read_rows` reads them in the event loop, in time slices. Everything else
runs in the thread of the request. It sorts in pieces, because one long sort would block the interpreter for
the loop.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeVar

from sidecar.core.scope import ROOT, parent_of
from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold, Restriction, Trial
from sidecar.gates.gate import GateState, ScopeGate
from sidecar.gates.tree import GateTree
from sidecar.web.api.unwell import CallInLoop, read_gates

PAGE_SIZE = 50
FILTERS = ("paused", "restricted", "advised", "waiting", "distressed", "concerned", "cautious", "unwell")
"""The values of the state filter."""

_SORT_SIZE = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """A known scope.

    Attributes:
        scope: the path.
        state: the state of its gate.
        waiting: the requests that wait at the gate itself.
        enabled: whether its policy is enabled.
        restricted: whether the gate is neither open nor closed.
        rate: requests per second that it admits; None: not limited, or closed.
        waits_for_operator: whether the scope is well again, and its pause waits for an operator.
    """

    scope: str
    state: GateState
    waiting: int
    enabled: bool
    restricted: bool
    rate: float | None
    waits_for_operator: bool

    @property
    def hold(self) -> Hold | None:
        """The scope's own hold that closes the gate; None: it has none."""
        return self.state.record.hold if self.enabled else None

    @property
    def advice(self) -> Hold | None:
        """The scope's own advised hold."""
        return self.state.record.advice if self.enabled else None

    @property
    def restriction(self) -> Restriction | None:
        """The scope's own restriction."""
        found = self.state.record.restriction if self.enabled else None
        return None if found is None or found.advised else found

    @property
    def advised_restriction(self) -> Restriction | None:
        """The scope's own restriction that is advised only."""
        found = self.state.record.restriction if self.enabled else None
        return found if found is not None and found.advised else None

    @property
    def trial(self) -> Trial | None:
        """The scope's own trial."""
        return self.state.record.trial if self.enabled else None

    @property
    def is_advised(self) -> bool:
        """Whether the gate is open, and its own policy advises something."""
        has_advice = self.advice is not None or self.advised_restriction is not None
        return has_advice and not self.state.closed

    @property
    def own(self) -> WellbeingState:
        """The own state."""
        return self.state.record.state

    @property
    def urgency(self) -> int:
        """How urgently the scope needs attention; 0: not at all."""
        if self.hold is not None:
            return 7
        if self.own is WellbeingState.DISTRESSED:
            return 6
        if self.restriction is not None or self.trial is not None:
            return 5
        if self.advice is not None or self.advised_restriction is not None:
            return 4
        if self.own > WellbeingState.HEALTHY:
            return 1 + self.own
        return 1 if self.state.closed or self.restricted else 0

    def has(self, wanted: str) -> bool:
        """Whether the state filter ``wanted`` selects the scope; empty: it selects all."""
        match wanted:
            case "":
                return True
            case "paused":
                return self.state.closed
            case "restricted":
                return self.restricted
            case "advised":
                return (self.state.advised or bool(self.state.advised_limits)) and not self.state.closed
            case "waiting":
                return self.waiting > 0
            case "unwell":
                return self.urgency > 0
        return self.own.label == wanted

    def mentions(self, text: str) -> bool:
        """Whether the path, a reason or an alert's name contains ``text``, which is in lower case."""
        if text in self.scope.lower():
            return True
        record = self.state.record
        texts = [hold.reason for hold in (record.manual, record.auto) if hold is not None]
        texts += [part for one in record.signals.values() for part in (one.alertname, one.reason)]
        return any(text in one.lower() for one in texts)


@dataclass(slots=True)
class TreeEntry:
    """A path in the tree.

    Attributes:
        path: the path.
        row: the scope; None: it is not known, but a scope inside it is.
        children: the paths one segment down that have known scopes.
        urgency: the greatest urgency of the scope and the scopes inside.
        waiting: the requests that wait at the scope and the scopes inside.
        paused: how many of them are closed.
        known: how many of them are known.
        shown: how many rows of the filtered list belong to it.
    """

    path: str
    row: ScopeRow | None = None
    children: list[TreeEntry] = field(default_factory=list)
    urgency: int = 0
    waiting: int = 0
    paused: int = 0
    known: int = 0
    shown: int = 0

    @property
    def depth(self) -> int:
        """The number of segments."""
        return self.path.count("/") + 1 if self.path else 0


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of scopes in each condition.

    Attributes:
        total: known scopes.
        held: scopes with a hold of their own.
        paused: scopes whose gate is closed, by themselves or by an ancestor.
        restricted: scopes whose gate is restricted or on trial, by themselves or by an ancestor.
        advised: scopes with an advised hold of their own.
        waiting: requests that wait.
    """

    total: int
    held: int
    paused: int
    restricted: int
    advised: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a filtered list.

    Attributes:
        entries: the entries of the page.
        number: its number, from 1.
        last: the number of the last page.
        total: the entries of all pages.
    """

    entries: list[TreeEntry]
    number: int
    last: int
    total: int


class ScopeRows:
    """Many rows, in short lists: see `read_gates`."""

    def __init__(self, chunks: list[list[ScopeRow]]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[ScopeRow]:
        return chain.from_iterable(self._chunks)

    def release(self) -> None:
        """Release the rows in pieces, so that other threads can run in between."""
        while self._chunks:
            self._chunks.pop()


def read_rows(call_in_loop: CallInLoop, tree: GateTree, scope: str = ROOT) -> ScopeRows:
    """``scope``, if it is known, and all known scopes inside it. Call it in a thread."""
    return ScopeRows(read_gates(call_in_loop, tree, scope, _row_of))


def _row_of(gate: ScopeGate) -> ScopeRow:
    return ScopeRow(
        gate.scope,
        gate.state,
        gate.waiting,
        gate.policy.enabled,
        gate.is_restricted,
        gate.admit_per_sec,
        gate.waits_for_operator,
    )


def count_rows(rows: Iterable[ScopeRow]) -> Counts:
    """Count ``rows`` by condition."""
    total = held = paused = restricted = advised = waiting = 0
    for row in rows:
        total += 1
        waiting += row.waiting
        held += row.hold is not None
        paused += row.state.closed
        restricted += row.restricted
        advised += row.is_advised
    return Counts(total, held, paused, restricted, advised, waiting)


@contextmanager
def tree_of(
    rows: ScopeRows, scope: str = ROOT, *, text: str = "", state: str = ""
) -> Iterator[dict[str, TreeEntry]]:
    """A context with the result of `build_tree`. At its end, entries and rows are released in pieces.

    The values of a template stay in a reference cycle until the next collection. So the entries among them
    must not refer to their children: otherwise that collection would scan the whole tree.
    """
    entries = build_tree(rows, scope, text=text, state=state)
    try:
        yield entries
    finally:
        for entry in entries.values():
            entry.children = []
        while entries:
            entries.popitem()
        rows.release()


def build_tree(
    rows: Iterable[ScopeRow], scope: str = ROOT, *, text: str = "", state: str = ""
) -> dict[str, TreeEntry]:
    """The entries of ``rows`` by path, each under its parent, with the totals of the scopes inside.

    Args:
        rows: ``scope`` and scopes inside it.
        scope: the top of the tree.
        text: only scopes that mention it are shown.
        state: only scopes that this filter selects are shown.
    """
    text = text.lower()
    entries: dict[str, TreeEntry] = {scope: TreeEntry(scope)}
    for row in rows:
        _entry(entries, row.scope, scope).row = row
    # Deeper paths come first, so that the children are complete when their parent sums them up.
    by_depth: dict[int, list[TreeEntry]] = {}
    for entry in entries.values():
        by_depth.setdefault(entry.depth, []).append(entry)
    for depth in sorted(by_depth, reverse=True):
        for entry in by_depth[depth]:
            _sum_up(entry, text, state)
    return entries


def _entry(entries: dict[str, TreeEntry], path: str, top: str) -> TreeEntry:
    entry = entries.get(path)
    if entry is None:
        entry = entries[path] = TreeEntry(path)
        _entry(entries, parent_of(path) if path != top else top, top).children.append(entry)
    return entry


def _sum_up(entry: TreeEntry, text: str, state: str) -> None:
    row, matches = entry.row, False
    if row is not None:
        entry.urgency, entry.waiting, entry.paused, entry.known = (
            row.urgency,
            row.waiting,
            int(row.state.closed),
            1,
        )
        matches = row.has(state) and (not text or row.mentions(text))
    for child in entry.children:
        entry.urgency = max(entry.urgency, child.urgency)
        entry.waiting += child.waiting
        entry.paused += child.paused
        entry.known += child.known
        entry.shown += child.shown
    entry.shown += matches or entry.shown > 0


def page_of(top: TreeEntry, number: int) -> Page:
    """Page ``number`` of the shown entries inside ``top``, depth first, the worst of each level first."""
    total = sum(child.shown for child in top.children)
    last = max(1, -(-total // PAGE_SIZE))
    number = min(max(1, number), last)
    skip = (number - 1) * PAGE_SIZE
    entries: list[TreeEntry] = []
    todo: list[Iterator[TreeEntry]] = [_worst_first(top.children)]
    while todo and len(entries) < PAGE_SIZE:
        entry = next(todo[-1], None)
        if entry is None:
            todo.pop()
        elif skip >= entry.shown:
            skip -= entry.shown
        else:
            if skip:
                skip -= 1
            else:
                entries.append(entry)
            todo.append(_worst_first(entry.children))
    return Page(entries, number, last, total)


def _worst_first(entries: list[TreeEntry]) -> Iterator[TreeEntry]:
    return in_order((one for one in entries if one.shown), _rank)


def _rank(entry: TreeEntry) -> tuple[Any, ...]:
    return -entry.urgency, -entry.paused, -entry.waiting, entry.path


def in_order(items: Iterable[T], key: Callable[[T], tuple[Any, ...]]) -> Iterator[T]:
    """``items`` by ``key``, sorted in pieces."""
    pieces = [sorted(piece, key=key) for piece in _pieces(items, _SORT_SIZE)]
    return heapq.merge(*pieces, key=key)


def _pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while piece := list(islice(source, size)):
        yield piece


def held_entries(rows: Iterable[ScopeRow], entries: dict[str, TreeEntry]) -> list[TreeEntry]:
    """The entries of scopes with their own hold. Those with the most waiting requests come first."""
    held = (entries[row.scope] for row in rows if row.hold is not None)
    return list(in_order(held, lambda one: (-one.waiting, -one.paused, one.path)))


def restricted_entries(rows: Iterable[ScopeRow], entries: dict[str, TreeEntry]) -> list[TreeEntry]:
    """The entries of scopes with their own restriction or trial, sorted by the number of waiting requests."""
    found = (
        entries[row.scope]
        for row in rows
        if (row.restriction is not None or row.trial is not None) and not row.state.closed
    )
    return list(in_order(found, lambda one: (-one.waiting, one.path)))


def advised_entries(rows: Iterable[ScopeRow], entries: dict[str, TreeEntry]) -> list[TreeEntry]:
    """The entries of open scopes with their own advice, sorted by the number of scopes inside, most first."""
    advised = (entries[row.scope] for row in rows if row.is_advised)
    return list(in_order(advised, lambda one: (-one.known, one.path)))
