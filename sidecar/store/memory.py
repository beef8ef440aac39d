"""A store in memory, for tests and for deployments without a disk."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from .base import Batch, StoredState
from .entries import HistoryEntry, HistoryQuery, entries_of


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

    async def load(self, now: float) -> StoredState:
        """An empty state."""
        return StoredState(version=int(now * 1e6))

    async def commit(self, batch: Batch) -> None:
        """Store the history entries of ``batch``."""
        for entry in entries_of(batch.events):
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

    async def close(self) -> None:
        """There is nothing to close."""
