"""An index of the parked requests and watches for unknown scopes, by path.

They are parked at the nearest known ancestor, their home. When a scope becomes known, the waiters for it and
for scopes inside it move there. To find them without a scan, each waiter is listed under every path from one
segment below its home down to its own path, eight at most.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.core.scope import parent_of

from .gate import Waiter


class PathIndex:
    """Finds parked waiters by the unknown scope that they asked for."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        """The number of listed paths."""
        return len(self._by_path)

    def at(self, path: str) -> list[Waiter]:
        """The waiters whose path is ``path`` or lies inside it."""
        return list(self._by_path.get(path, ()))

    def add(self, waiter: Waiter, home: str) -> None:
        """Add ``waiter``, whose path is inside ``home``."""
        for path in _paths(waiter.path, home):
            found = self._by_path.get(path)
            if found is None:
                self._by_path[path] = {waiter: None}
            else:
                found[waiter] = None

    def remove(self, waiter: Waiter, home: str) -> None:
        """Remove ``waiter``."""
        for path in _paths(waiter.path, home):
            found = self._by_path.get(path)
            if found is not None:
                found.pop(waiter, None)
                if not found:
                    del self._by_path[path]


def _paths(path: str | None, home: str) -> Iterator[str]:
    """``path`` and its ancestors inside ``home``."""
    while path and path != home:
        yield path
        path = parent_of(path)
