"""All scopes together.

Rules of this file: a `World` is changed by `World.apply` only, with a `Draft` that was made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from .policy import PolicyTable
from .scope import ROOT
from .values import EMPTY, ScopeRecord, Tombstone

if TYPE_CHECKING:
    from .draft import Draft

_V = TypeVar("_V")


class World:
    """What is known, by scope.

    Args:
        policies: the config's.
        records: what a store kept.
        tombstones: what a store kept, by source.
        max_scopes: how many scopes may be known.
        max_signals: how many signals a scope may have.
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
        self.places: dict[str, str] = {
            source: scope
            for scope, record in self.records.items()
            for source, signal in record.signals.items()
            if signal.kind == "alert"
        }
        for scope in (ROOT, *policies.named_scopes()):
            self.records.setdefault(scope, EMPTY)

    def apply(self, draft: Draft) -> None:
        """Make ``draft`` true."""
        self.policies = draft.policies
        self.sweep_at = draft.sweep_at
        _merge(self.records, draft.records)
        _merge(self.tombstones, draft.tombstones)
        _merge(self.places, draft.places)


def _merge(into: dict[str, _V], changes: Mapping[str, _V | None]) -> None:
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value
