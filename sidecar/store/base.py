"""The protocol between the controller and what keeps its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.core.changes import Change
from sidecar.core.values import ScopeRecord, Tombstone


class StoreError(Exception):
    """A store that cannot be used; the message names it and the remedy."""


class StoreUnavailable(StoreError):
    """A commit that did not happen: nothing of the batch is kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store has kept.

    Attributes:
        records: by scope.
        tombstones: by source.
        version: no snapshot had a higher one.
    """

    records: Mapping[str, ScopeRecord] = field(default_factory=dict)
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be kept from now on, whole or not at all.

    Attributes:
        records: the scopes that changed; None: forgotten.
        tombstones: those that changed; None: gone.
        changes: what happened, for the history.
    """

    records: Mapping[str, ScopeRecord | None]
    tombstones: Mapping[str, Tombstone | None]
    changes: tuple[Change, ...]


class Store(Protocol):
    """Keeps the world. One controller uses one store, one call at a time."""

    async def load(self) -> Kept:
        """What was kept. Raises `StoreError` when it cannot be read."""

    async def commit(self, batch: Batch) -> None:
        """Keep ``batch``; once this returns it survives. Raises `StoreUnavailable` when it does not."""

    async def close(self) -> None:
        """Let go of files and connections."""
