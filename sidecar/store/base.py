"""The protocol between the controller and what keeps its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.core.events import CoreEvent
from sidecar.core.values import ScopeRecord, Tombstone

from .entries import Entry, HistoryQuery


class StoreError(Exception):
    """A store that cannot be used; the message names it and the remedy."""


class StoreUnavailable(StoreError):
    """A commit that did not happen: nothing of the batch is kept."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """What a store has kept.

    Attributes:
        records: by scope.
        tombstones: by source.
        version: no snapshot had a higher one, and none of this run may have a lower one.
        seen_at: wall time when the store was last written to; None: never.
        heard_watchdog: the watchdog's alert that was heard of; empty: none.
    """

    records: Mapping[str, ScopeRecord] = field(default_factory=dict)
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    version: int = 0
    seen_at: float | None = None
    heard_watchdog: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be kept from now on, whole or not at all.

    Attributes:
        records: the scopes that changed; None: forgotten.
        tombstones: those that changed; None: gone.
        events: what happened: which signals of the records changed, and the history.
        whole: scopes of which every signal is to be kept anew, whatever ``events`` tell.
        at: wall time.
        heard_watchdog: the watchdog's alert that was heard of; None: unchanged.
    """

    records: Mapping[str, ScopeRecord | None]
    tombstones: Mapping[str, Tombstone | None]
    events: tuple[CoreEvent, ...]
    whole: frozenset[str] = frozenset()
    at: float = 0.0
    heard_watchdog: str | None = None


class Store(Protocol):
    """Keeps the state. One controller uses one store, one call at a time."""

    async def load(self, now: float) -> StoredState:
        """What was kept, at wall time ``now``. Raises `StoreError` when it cannot be used."""

    async def commit(self, batch: Batch) -> None:
        """Keep ``batch``; once this returns it survives. Raises `StoreUnavailable` when it does not."""

    async def history(self, query: HistoryQuery) -> list[Entry]:
        """The entries that ``query`` asks for, newest first. Raises `StoreUnavailable`."""

    async def close(self) -> None:
        """Let go of files and connections."""
