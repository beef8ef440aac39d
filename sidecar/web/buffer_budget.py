"""Limits the buffers of all connections together, for clients that send too much or read too slowly."""

from __future__ import annotations

from typing import Protocol

MAX_BYTES = 64 * 1024 * 1024
_SMALL_BYTES = 4096


class BufferedConnection(Protocol):
    """A connection with buffers."""

    def drop(self) -> None:
        """End the connection at once."""


class BufferBudget:
    """The bytes that connections have buffered: unserved requests and unread responses.

    A connection counts only while it buffers more than a few kilobytes. When the total is above the budget,
    the connections that have been stuck for the longest time are dropped.

    Args:
        max_bytes: the limit for all connections together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._sizes: dict[BufferedConnection, int] = {}
        self._total = 0

    @property
    def total(self) -> int:
        """The bytes that count now."""
        return self._total

    def set(self, connection: BufferedConnection, size: int) -> None:
        """Set the size of the buffers of ``connection`` in bytes."""
        if size <= _SMALL_BYTES:
            if connection in self._sizes:
                self._total -= self._sizes.pop(connection)
            return
        # A connection keeps its position, so the first one has been stuck for the longest time.
        self._total += size - self._sizes.get(connection, 0)
        self._sizes[connection] = size
        while self._total > self.max_bytes:
            oldest = next(iter(self._sizes))
            self._total -= self._sizes.pop(oldest)
            oldest.drop()
