"""Copies the state and the history of one store to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from .base import Batch, Committed, Store, StoredState, StoreError, StoreUnavailable, Versions
from .entries import HistoryEntry, HistoryQuery

_SCOPES_AT_ONCE = 500
_PAGE = 1_000


class CopyTarget(Store, Protocol):
    """A store that accepts the history entries of another store."""

    async def append_history(self, entries: list[HistoryEntry]) -> None:
        """Append ``entries``, oldest first."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """The result of a copy.

    Attributes:
        scopes: scopes that were copied.
        kept: scopes that the target already had; they are not changed.
        tombstones: ended alerts that were copied.
        entries: history entries that were copied.
    """

    scopes: int
    kept: int
    tombstones: int
    entries: int


async def copy_store(source: Store, target: CopyTarget, now: float) -> CopyReport:
    """Copy everything that ``target`` does not have yet. Its own data stay, so a copy can be repeated.

    Raises:
        StoreError: a store cannot be read or written.
    """
    stored = await source.load(now)
    known = await target.load(now)
    if stored.is_last_known or known.is_last_known:
        raise StoreUnavailable("the store on Redis cannot be reached")
    scopes = [scope for scope in stored.records if scope not in known.records]
    tombstones = [one for one in stored.tombstones if one not in known.tombstones]
    position = known.position
    for first in range(0, max(len(scopes), 1), _SCOPES_AT_ONCE):
        some = scopes[first : first + _SCOPES_AT_ONCE]
        batch = _batch(stored, known, some, tombstones if first == 0 else [], now)
        result = await target.commit(replace(batch, position=position, token=uuid4().hex[:16]))
        if isinstance(result, Committed):
            position = result.position
        elif result is not None:
            raise StoreError("the target changed while it was written: run the command again")
    entries = await _missing_entries(source, target)
    await target.append_history(entries)
    kept = sum(1 for scope in stored.records if scope in known.records)
    return CopyReport(len(scopes), kept, len(tombstones), len(entries))


def _batch(
    stored: StoredState, known: StoredState, scopes: list[str], tombstones: list[str], now: float
) -> Batch:
    records = {scope: stored.records[scope] for scope in scopes}
    alerts = [
        source
        for record in records.values()
        for source, signal in record.signals.items()
        if signal.kind == "alert"
    ]
    sources = dict.fromkeys((*alerts, *tombstones), True)
    return Batch(
        records,
        {source: stored.tombstones[source] for source in tombstones},
        (),
        frozenset(records),
        now,
        stored.seen_watchdog if stored.seen_watchdog and not known.seen_watchdog else None,
        read=Versions(dict.fromkeys(records, 0), dict.fromkeys(tombstones, 0)),
        sources=sources,
    )


async def _missing_entries(source: Store, target: Store) -> list[HistoryEntry]:
    """The entries of ``source`` that ``target`` does not have, oldest first, with the id 0."""
    there = set(await _all_entries(target))
    return [entry for entry in reversed(await _all_entries(source)) if entry not in there]


async def _all_entries(store: Store) -> list[HistoryEntry]:
    entries: list[HistoryEntry] = []
    query = HistoryQuery(limit=_PAGE)
    while page := await store.history(query):
        entries += [replace(entry, id=0) for entry in page]
        query = replace(query, before_id=page[-1].id)
    return entries
