"""The history in Redis: a stream of entries, read backwards in pages and filtered here."""

from __future__ import annotations

import asyncio
from typing import Any

from sidecar.store.entries import HistoryEntry, HistoryQuery

from .connection import RedisConnection, execute
from .keys import RedisKeys
from .records import entry_of, entry_text
from .settings import RedisSettings

_PAGE = 100
"""Entries that one call reads. Decoding them takes about a millisecond."""

_LATE_SECS = 86_400.0
"""An entry may have an earlier time than the entries before it, because changes by time alone are committed
later."""

_Row = tuple[int, HistoryEntry | None]
"""The id of an entry, and the entry; None: another program wrote it."""


class RedisHistory:
    """Reads and trims the history.

    Args:
        connection: the connection.
        keys: names of the keys.
        settings: limits of the history.
    """

    def __init__(self, connection: RedisConnection, keys: RedisKeys, settings: RedisSettings) -> None:
        self._connection = connection
        self._key = keys.history
        self._meta = keys.meta
        self._settings = settings

    async def read(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first. Raises `StoreUnavailable`."""
        found: list[HistoryEntry] = []
        upper = "+" if query.before_id is None else f"({query.before_id}-0"
        if query.before_id is not None and query.before_id <= 0:
            return found
        while len(found) < query.limit:
            page = await self._page(upper)
            for _, entry in page:
                if entry is not None and query.matches(entry):
                    found.append(entry)
                    if len(found) == query.limit:
                        break
            number, last = page[-1] if page else (0, None)
            is_old = query.since is not None and last is not None and last.at < query.since - _LATE_SECS
            if len(page) < _PAGE or is_old:
                break
            upper = f"({number}-0"
            await asyncio.sleep(0)
        return found

    async def _page(self, upper: str) -> list[_Row]:
        async def read(client: Any) -> Any:  # noqa: ANN401 - as Redis answers
            return await execute(client, "XREVRANGE", self._key, upper, "-", "COUNT", _PAGE)

        return _rows_of(await self._connection.call(read))

    async def read_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        """The entries with a higher id than ``after_id``, oldest first. Raises `StoreUnavailable`."""

        async def read(client: Any) -> Any:  # noqa: ANN401 - as Redis answers
            lower = f"({max(after_id, 0)}-0"
            return await execute(client, "XRANGE", self._key, lower, "+", "COUNT", limit)

        while True:
            rows = _rows_of(await self._connection.call(read))
            found = [entry for _, entry in rows if entry is not None]
            if found or len(rows) < limit:
                return found
            after_id = rows[-1][0]

    async def append(self, entries: list[HistoryEntry]) -> None:
        """Append ``entries``, oldest first; each gets a new id. Raises `StoreUnavailable`."""

        async def write(client: Any) -> None:  # noqa: ANN401 - redis-py has few types
            last = await client.hincrby(self._meta, "history", len(entries))
            pipeline = client.pipeline(transaction=True)
            for number, entry in enumerate(entries, last - len(entries) + 1):
                pipeline.xadd(self._key, {"e": entry_text(entry)}, id=f"{number}-0")
            await pipeline.execute()

        if entries:
            await self._connection.call(write)

    async def trim(self, now: float) -> None:
        """Remove the entries above the limits. Raises `StoreUnavailable`."""
        settings = self._settings

        async def trim(client: Any) -> None:  # noqa: ANN401 - the same
            await execute(client, "XTRIM", self._key, "MAXLEN", settings.history_max_entries)
            while True:
                oldest = await execute(client, "XRANGE", self._key, "-", "+", "COUNT", _PAGE)
                expired = 0
                for number, entry in _rows_of(oldest):
                    if entry is not None and entry.at < now - settings.history_max_age_secs:
                        expired = number
                if not expired:
                    return
                await execute(client, "XTRIM", self._key, "MINID", f"{expired + 1}-0")

        await self._connection.call(trim)


def _rows_of(answer: Any) -> list[_Row]:  # noqa: ANN401 - as Redis answers
    rows: list[_Row] = []
    for key, values in answer:
        number = int(key.split(b"-")[0])
        try:
            rows.append((number, entry_of(number, values[b"e"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            rows.append((number, None))
    return rows
