"""The state of all scopes, and changes that are not applied yet.

Rules of this file: a `CoreState` changes only through `CoreState.apply`, with a `StateDelta` that was made
from it. A delta that is discarded has no effect. Therefore a command can be decided first, then stored
durably, and then applied.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from .errors import TooManyScopes, TooManySignals
from .policy import PolicyTable
from .scope import ROOT, parent_of
from .values import EMPTY, ScopeRecord, Tombstone

_V = TypeVar("_V")

_MAX_EXPIRED_AT_ONCE = 2_000
"""The most tombstones that one step removes, so that it does not block the event loop."""


_MERGED_AT_ONCE = 32


@dataclass(slots=True)
class CountsInside:
    """How many known scopes are directly inside each path, and how many of them are paused by their policy.

    The counts are updated with each change. Counting all scopes for every pause would take seconds for
    thousands of pauses.
    """

    _known: dict[str, int] = field(default_factory=dict)
    _paused: dict[str, int] = field(default_factory=dict)

    def change(self, scope: str, old: ScopeRecord | None, new: ScopeRecord | None) -> None:
        """Count a change of the record of ``scope`` from ``old`` to ``new``; None: the scope is not known."""
        if scope == ROOT:
            return
        known = (new is not None) - (old is not None)
        paused = is_paused_by_policy(new) - is_paused_by_policy(old)
        for counts, change in ((self._known, known), (self._paused, paused)):
            if change:
                parent = parent_of(scope)
                count = counts.pop(parent, 0) + change
                if count:
                    counts[parent] = count

    def known(self, parent: str) -> int:
        """The number of known scopes directly inside ``parent``."""
        return self._known.get(parent, 0)

    def paused(self, parent: str) -> int:
        """The number of scopes directly inside ``parent`` that their policy pauses."""
        return self._paused.get(parent, 0)


def is_paused_by_policy(record: ScopeRecord | None) -> bool:
    """Whether an auto hold closes the gate of a scope with ``record``."""
    return record is not None and record.auto is not None and record.auto.advised is None


class CoreState:
    """The records of all scopes, and the tombstones of ended alerts.

    Args:
        policies: the policies of the config.
        records: the stored records, by scope.
        tombstones: the stored tombstones, by source.
        max_scopes: limit of known scopes.
        max_signals: limit of signals in one scope.
        max_tombstones: limit of tombstones; the oldest are removed first.
        seen_watchdog: name of the watchdog alert that was received, from the store; empty: none was.

    Attributes:
        counts_inside: how many scopes are known and paused directly inside each path.
    """

    def __init__(
        self,
        policies: PolicyTable,
        records: Mapping[str, ScopeRecord] | None = None,
        tombstones: Mapping[str, Tombstone] | None = None,
        max_scopes: int = 20_000,
        max_signals: int = 1_000,
        *,
        max_tombstones: int = 50_000,
        seen_watchdog: str = "",
    ) -> None:
        self.policies = policies
        self.max_scopes = max_scopes
        self.max_signals = max_signals
        self.max_tombstones = max_tombstones
        self.seen_watchdog = seen_watchdog
        self.sweep_at = 0.0
        self.records: dict[str, ScopeRecord] = dict(records or {})
        # In the order in which the resolves were received.
        self.tombstones: dict[str, Tombstone] = dict(
            sorted((tombstones or {}).items(), key=lambda item: item[1].received_at)
        )
        self.scope_by_alert: dict[str, str] = {
            source: scope
            for scope, record in self.records.items()
            for source, signal in record.signals.items()
            if signal.kind == "alert"
        }
        for scope in (ROOT, *policies.named_scopes()):
            self.records.setdefault(scope, EMPTY)
        self.counts_inside = CountsInside()
        for scope, record in self.records.items():
            self.counts_inside.change(scope, None, record)

    def apply(self, delta: StateDelta) -> None:
        """Apply ``delta``."""
        for _ in self.apply_in_steps(delta):
            pass

    def apply_in_steps(self, delta: StateDelta) -> Iterator[None]:
        """Apply ``delta``, a few records or alerts in each step. Nothing may be decided between two steps."""
        self.policies = delta.policies
        self.sweep_at = delta.sweep_at
        self.seen_watchdog = delta.seen_watchdog
        for number, (scope, record) in enumerate(delta.records.items(), 1):
            self.counts_inside.change(scope, self.records.get(scope), record)
            if record is None:
                self.records.pop(scope, None)
            else:
                self.records[scope] = record
            if number % _MERGED_AT_ONCE == 0:
                yield
        # A tombstone that is put again becomes the newest.
        yield from _merge(self.tombstones, delta.tombstones, at_end=True)
        yield from _merge(self.scope_by_alert, delta.scope_by_alert)


class StateDelta:
    """Changes to a state that are decided but not applied. Reads see the changes.

    Args:
        state: the state that the delta was made from.

    Attributes:
        policies: the policies after the delta.
        records: records that change; None: the scope is forgotten.
        tombstones: tombstones that change; None: removed.
        scope_by_alert: the scope of each alert signal that changes; None: the signal has ended.
        forgets: whether a scope was forgotten.
        rewritten: scopes whose signals changed without an event for each signal; all of them must be stored.
        sweep_at: when tombstones are next checked, seconds since the epoch.
        seen_watchdog: name of the watchdog alert that was received; empty: none was.
        read_scopes: scopes whose records the decisions depend on, even if nothing of them changes.
        read_sources: alerts whose signal or tombstone the decisions depend on.
        read_inside: paths whose `known_inside` and `paused_inside` the decisions depend on.
    """

    def __init__(self, state: CoreState) -> None:
        self._state = state
        self.policies = state.policies
        self.records: dict[str, ScopeRecord | None] = {}
        self.tombstones: dict[str, Tombstone | None] = {}
        self.scope_by_alert: dict[str, str | None] = {}
        self.rewritten: set[str] = set()
        self.forgets = False
        self.read_scopes: set[str] = set()
        self.read_sources: set[str] = set()
        self.read_inside: set[str] = set()
        self.sweep_at = state.sweep_at
        self.seen_watchdog = state.seen_watchdog
        self._scope_count = len(state.records)
        # What the delta adds to the counts of the state.
        self._counts_inside = CountsInside()
        self._tombstone_count = len(state.tombstones)
        self._oldest_first: Iterator[str] | None = None
        self._put_tombstones: OrderedDict[str, None] = OrderedDict()

    def known_scopes(self) -> set[str]:
        """All scopes of the state and of the delta, including those that the delta forgets."""
        return {*self._state.records, *self.records}

    def record(self, scope: str) -> ScopeRecord | None:
        """The record of ``scope``; None: not known."""
        if scope in self.records:
            return self.records[scope]
        return self._state.records.get(scope)

    def put_record(self, scope: str, record: ScopeRecord) -> None:
        """Change the record of ``scope``."""
        old = self.record(scope)
        if old is None:
            self._scope_count += 1
        self._counts_inside.change(scope, old, record)
        self.records[scope] = record

    def known_inside(self, parent: str) -> int:
        """The number of known scopes directly inside ``parent``."""
        return self._state.counts_inside.known(parent) + self._counts_inside.known(parent)

    def paused_inside(self, parent: str) -> int:
        """The number of scopes directly inside ``parent`` that their policy pauses."""
        return self._state.counts_inside.paused(parent) + self._counts_inside.paused(parent)

    def forget(self, scope: str) -> None:
        """Remove the record of a known ``scope``."""
        self._counts_inside.change(scope, self.record(scope), None)
        self.records[scope] = None
        self.forgets = True
        self._scope_count -= 1

    def tombstone(self, source: str) -> Tombstone | None:
        """The tombstone of an alert; None: there is none."""
        self.read_sources.add(source)
        if source in self.tombstones:
            return self.tombstones[source]
        return self._state.tombstones.get(source)

    def put_tombstone(self, source: str, tombstone: Tombstone) -> None:
        """Put the tombstone of an alert. Above the limit the oldest ones are removed."""
        if self.tombstone(source) is None:
            self._tombstone_count += 1
        # Put it at the end, because it is the newest.
        self.tombstones.pop(source, None)
        self.tombstones[source] = tombstone
        self._put_tombstones[source] = None
        self._put_tombstones.move_to_end(source)
        # Remove two, not one, so that the count falls gradually after the limit was lowered.
        self._evict_tombstones(2)

    def remove_tombstone(self, source: str) -> None:
        """Remove the tombstone of an alert, if there is one."""
        if self.tombstone(source) is not None:
            self._tombstone_count -= 1
            self.tombstones[source] = None
            self._put_tombstones.pop(source, None)

    def expire_tombstones(self, now: float) -> bool:
        """Remove expired tombstones, the oldest first. Returns whether more may have to be removed."""
        self._evict_tombstones(_MAX_EXPIRED_AT_ONCE)
        removed = 0
        for source, tombstone in self._state.tombstones.items():
            if self.tombstones.get(source, tombstone) is not tombstone:
                continue
            if tombstone.keep_until > now:
                break
            if removed == _MAX_EXPIRED_AT_ONCE:
                return True
            self.remove_tombstone(source)
            removed += 1
        return self._tombstone_count > self._state.max_tombstones

    def shift_tombstones(self, secs: float) -> None:
        """Shift the times of all tombstones by ``secs``, except times of another machine's clock."""
        own = list(self._put_tombstones)
        for source in [*(one for one in self._state.tombstones if one not in self._put_tombstones), *own]:
            tombstone = self.tombstones.pop(source, self._state.tombstones.get(source))
            # Keep the order, so that the newest tombstones stay last.
            self.tombstones[source] = tombstone and tombstone.shifted(secs)

    def _evict_tombstones(self, most: int) -> None:
        for _ in range(min(most, self._tombstone_count - self._state.max_tombstones)):
            self.remove_tombstone(self._oldest_tombstone())

    def _oldest_tombstone(self) -> str:
        if self._oldest_first is None:
            self._oldest_first = iter(self._state.tombstones)
        for source in self._oldest_first:
            if source not in self._put_tombstones and self.tombstone(source) is not None:
                return source
        return next(iter(self._put_tombstones))

    def alert_scope(self, source: str) -> str | None:
        """The scope that has the signal of an alert; None: the alert has no signal."""
        self.read_sources.add(source)
        if source in self.scope_by_alert:
            return self.scope_by_alert[source]
        return self._state.scope_by_alert.get(source)

    def require_room_for_scopes(self, scopes: set[str]) -> None:
        """Raise `TooManyScopes` if adding ``scopes`` would exceed the limit."""
        new = sum(1 for scope in scopes if self.record(scope) is None)
        if new and self._scope_count + new > self._state.max_scopes:
            raise TooManyScopes(self._state.max_scopes)

    def require_room_for_signals(self, scope: str, count: int) -> None:
        """Raise `TooManySignals` if ``count`` more signals would exceed the limit of ``scope``."""
        record = self.record(scope)
        if count + (len(record.signals) if record else 0) > self._state.max_signals:
            raise TooManySignals(scope, self._state.max_signals)


def _merge(into: dict[str, _V], changes: Mapping[str, _V | None], *, at_end: bool = False) -> Iterator[None]:
    """Apply ``changes``, a few in each step. ``at_end``: move the changed keys to the end."""
    for number, (key, value) in enumerate(changes.items(), 1):
        if at_end or value is None:
            into.pop(key, None)
        if value is not None:
            into[key] = value
        if number % _MERGED_AT_ONCE == 0:
            yield
