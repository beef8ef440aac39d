"""The protocol of a store, and its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.core.events import CoreEvent
from sidecar.core.values import ScopeRecord, Tombstone

from .entries import HistoryEntry, HistoryQuery


class StoreError(Exception):
    """A store cannot be used. The message names the store and the remedy."""


class StoreUnavailable(StoreError):
    """A read or commit failed. Nothing of a failed batch is stored."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """The stored state.

    Attributes:
        records: records by scope.
        tombstones: tombstones by source.
        version: no earlier snapshot has a higher version, and no snapshot of this run may have a lower one.
        last_written_at: wall time of the last write; None: never.
        seen_watchdog: name of the watchdog alert that was received; empty: none was.
    """

    records: Mapping[str, ScopeRecord] = field(default_factory=dict)
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    version: int = 0
    last_written_at: float | None = None
    seen_watchdog: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that are stored together, completely or not at all.

    Attributes:
        records: the records that changed; None: forgotten.
        tombstones: the tombstones that changed; None: removed.
        events: the events; they give the changed signals and the history entries.
        rewritten: scopes whose signals are all stored again, regardless of ``events``.
        at: wall time, seconds since the epoch.
        seen_watchdog: name of the watchdog alert that was received; None: unchanged.
    """

    records: Mapping[str, ScopeRecord | None]
    tombstones: Mapping[str, Tombstone | None]
    events: tuple[CoreEvent, ...]
    rewritten: frozenset[str] = frozenset()
    at: float = 0.0
    seen_watchdog: str | None = None


class Store(Protocol):
    """Stores the state. One controller uses one store, with one call at a time."""

    async def load(self, now: float) -> StoredState:
        """Load the state at wall time ``now``. Raises `StoreError` if the store cannot be used."""

    async def commit(self, batch: Batch) -> None:
        """Store ``batch`` durably. Raises `StoreUnavailable` if it was not stored."""

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first. Raises `StoreUnavailable`."""

    async def history_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        """The entries with a higher id than ``after_id``, oldest first. Raises `StoreUnavailable`."""

    async def load_positions(self) -> dict[str, str]:
        """What `save_positions` has stored, by reader. Raises `StoreUnavailable`."""

    async def save_positions(self, positions: Mapping[str, str | None]) -> None:
        """Store how far readers of the history have come; None: the reader is gone.

        Args:
            positions: text by the name of the reader. Readers that it does not name stay as they are.

        Raises:
            StoreUnavailable: nothing was stored.
        """

    async def close(self) -> None:
        """Close files and connections."""
