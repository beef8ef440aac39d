"""All scopes together, and the changes to them that are not applied yet.

Rules of this file: a `CoreState` changes only through `CoreState.apply`, with a `StateDelta` that was made
from it. A delta that is thrown away leaves no trace, so a command can be decided, made durable, and only
then applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .errors import TooManyScopes, TooManySignals
from .policy import PolicyTable
from .scope import ROOT
from .values import EMPTY, ScopeRecord, Tombstone

_V = TypeVar("_V")


class CoreState:
    """All that is known, by scope.

    Args:
        policies: the policies of the config.
        records: what a store kept.
        tombstones: what a store kept, by source.
        max_scopes: limit of known scopes.
        max_signals: limit of signals in one scope.
    """

    def __init__(
        self,
        policies: PolicyTable,
        records: Mapping[str, ScopeRecord] | None = None,
        tombstones: Mapping[str, Tombstone] | None = None,
        max_scopes: int = 20_000,
        max_signals: int = 1_000,
    ) -> None:
        self.policies = policies
        self.max_scopes = max_scopes
        self.max_signals = max_signals
        self.sweep_at = 0.0
        self.records: dict[str, ScopeRecord] = dict(records or {})
        self.tombstones: dict[str, Tombstone] = dict(tombstones or {})
        self.scope_by_alert: dict[str, str] = {
            source: scope
            for scope, record in self.records.items()
            for source, signal in record.signals.items()
            if signal.kind == "alert"
        }
        for scope in (ROOT, *policies.named_scopes()):
            self.records.setdefault(scope, EMPTY)

    def apply(self, delta: StateDelta) -> None:
        """Apply ``delta``."""
        self.policies = delta.policies
        self.sweep_at = delta.sweep_at
        _merge(self.records, delta.records)
        _merge(self.tombstones, delta.tombstones)
        _merge(self.scope_by_alert, delta.scope_by_alert)


class StateDelta:
    """Changes to a state that are decided but not applied. Reads see the changes.

    Args:
        state: the state that the delta was made from.

    Attributes:
        policies: the policies after the delta.
        records: records that change; None: the scope is forgotten.
        tombstones: tombstones that change; None: removed.
        scope_by_alert: the scope of each alert signal that changes; None: the signal has ended.
        rewritten: scopes whose signals changed without an event for each signal.
        sweep_at: when tombstones are next checked, seconds since the epoch.
    """

    def __init__(self, state: CoreState) -> None:
        self._state = state
        self.policies = state.policies
        self.records: dict[str, ScopeRecord | None] = {}
        self.tombstones: dict[str, Tombstone | None] = {}
        self.scope_by_alert: dict[str, str | None] = {}
        self.rewritten: set[str] = set()
        self.sweep_at = state.sweep_at
        self._known = len(state.records)

    def known_scopes(self) -> set[str]:
        """All scopes of the state and of the delta, those that the delta forgets included."""
        return {*self._state.records, *self.records}

    def record(self, scope: str) -> ScopeRecord | None:
        """The record of ``scope``; None: not known."""
        if scope in self.records:
            return self.records[scope]
        return self._state.records.get(scope)

    def put_record(self, scope: str, record: ScopeRecord) -> None:
        """Change the record of ``scope``."""
        if self.record(scope) is None:
            self._known += 1
        self.records[scope] = record

    def forget(self, scope: str) -> None:
        """Remove the record of a known ``scope``."""
        self.records[scope] = None
        self._known -= 1

    def tombstone(self, source: str) -> Tombstone | None:
        """The tombstone of an alert; None: there is none."""
        if source in self.tombstones:
            return self.tombstones[source]
        return self._state.tombstones.get(source)

    def expire_tombstones(self, now: float) -> None:
        """Remove the tombstones whose time is up."""
        for source, tombstone in self._state.tombstones.items():
            if tombstone.keep_until <= now and source not in self.tombstones:
                self.tombstones[source] = None

    def alert_scope(self, source: str) -> str | None:
        """The scope that holds the signal of an alert; None: it has no signal."""
        if source in self.scope_by_alert:
            return self.scope_by_alert[source]
        return self._state.scope_by_alert.get(source)

    def require_room_for_scopes(self, scopes: set[str]) -> None:
        """Check that ``scopes`` may all be known. Raises `TooManyScopes`."""
        new = sum(1 for scope in scopes if self.record(scope) is None)
        if new and self._known + new > self._state.max_scopes:
            raise TooManyScopes(self._state.max_scopes)

    def require_room_for_signals(self, scope: str, count: int) -> None:
        """Check that ``scope`` may have ``count`` more signals. Raises `TooManySignals`."""
        record = self.record(scope)
        if count + (len(record.signals) if record else 0) > self._state.max_signals:
            raise TooManySignals(scope, self._state.max_signals)


def _merge(into: dict[str, _V], changes: Mapping[str, _V | None]) -> None:
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value
