"""A store in memory, for tests and for deployments without a disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from .base import Batch, StoredState
from .entries import HistoryEntry, HistoryQuery, entries_of

_AT_ONCE = 64
"""Entries that are made in one pass of the event loop."""


class MemoryStore:
    """Stores only the history, and only until the process ends. The controller has the state in memory.

    Args:
        max_entries: maximum number of history entries.
        max_age_secs: maximum age of history entries in seconds.
    """

    def __init__(self, max_entries: int = 10_000, max_age_secs: float = 30 * 86_400.0) -> None:
        self._entries: deque[HistoryEntry] = deque(maxlen=max_entries)
        self._max_age_secs = max_age_secs
        self._last_id = 0
        self._values: dict[str, str] = {}

    async def load(self, now: float) -> StoredState:
        """Return an empty state, because nothing survives the process."""
        return StoredState(version=int(now * 1e6))

    async def commit(self, batch: Batch) -> None:
        """Store the history entries of ``batch``."""
        for count, entry in enumerate(entries_of(batch.events), 1):
            if count % _AT_ONCE == 0:
                # Ten thousand alerts make as many entries. Other work of the event loop runs in between.
                await asyncio.sleep(0)
            self._last_id += 1
            self._entries.appendleft(replace(entry, id=self._last_id))
        while self._entries and self._entries[-1].at < batch.at - self._max_age_secs:
            self._entries.pop()

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first."""
        page: list[HistoryEntry] = []
        for entry in self._entries:
            if len(page) >= query.limit:
                break
            if query.matches(entry):
                page.append(entry)
        return page

    async def history_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        """The entries with a higher id than ``after_id``, oldest first."""
        newest = self._entries[0].id if self._entries else 0
        # The ids have no gaps, so the position of an entry follows from its id.
        first = min(newest - max(after_id, 0), len(self._entries)) - 1
        return [self._entries[index] for index in range(first, max(first - limit, -1), -1)]

    async def load_values(self) -> dict[str, str]:
        """The values of this run."""
        return dict(self._values)

    async def save_values(self, values: Mapping[str, str | None]) -> None:
        """Store values until the process ends."""
        for key, value in values.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value

    async def close(self) -> None:
        """There is nothing to close."""
