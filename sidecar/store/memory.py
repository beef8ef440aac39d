"""A store that forgets: for tests, and for those who want nothing on disk."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from .base import Batch, StoredState
from .entries import Entry, HistoryQuery, entries_of


class MemoryStore:
    """Keeps nothing beyond the process; the controller's own memory is the state.

    Args:
        max_entries: how many entries of the history are kept.
        max_age_secs: and for how long.
    """

    def __init__(self, max_entries: int = 10_000, max_age_secs: float = 30 * 86_400.0) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)
        self._max_age_secs = max_age_secs
        self._last_id = 0

    async def load(self, now: float) -> StoredState:
        """Nothing."""
        return StoredState(version=int(now * 1e6))

    async def commit(self, batch: Batch) -> None:
        """Keep the history; what else the controller applies is all there is."""
        for entry in entries_of(batch.events):
            self._last_id += 1
            self._entries.appendleft(replace(entry, id=self._last_id))
        while self._entries and self._entries[-1].at < batch.at - self._max_age_secs:
            self._entries.pop()

    async def history(self, query: HistoryQuery) -> list[Entry]:
        """The entries that ``query`` asks for, newest first."""
        page: list[Entry] = []
        for entry in self._entries:
            if len(page) >= query.limit:
                break
            if query.wants(entry):
                page.append(entry)
        return page

    async def close(self) -> None:
        """Nothing to let go of."""
