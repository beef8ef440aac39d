"""Parked requests and watches of scopes that are not known, found by path.

They are parked at the nearest known ancestor, their home. When a scope becomes known, those whose path is
that scope or lies inside it have to move there, and nothing else should be looked at: each is listed under
every path from one segment below its home down to its own path, eight at most.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.core.scope import parent_of

from .gate import Waiter


class PathIndex:
    """Finds parked waiters by the unnamed scope that they asked for."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        """How many paths are listed."""
        return len(self._by_path)

    def at(self, path: str) -> list[Waiter]:
        """The waiters whose path is ``path`` or lies inside it."""
        return list(self._by_path.get(path, ()))

    def add(self, waiter: Waiter, home: str) -> None:
        """List ``waiter``, which has a path inside ``home``."""
        for path in _paths(waiter.path, home):
            found = self._by_path.get(path)
            if found is None:
                self._by_path[path] = {waiter: None}
            else:
                found[waiter] = None

    def remove(self, waiter: Waiter, home: str) -> None:
        """List ``waiter`` no more."""
        for path in _paths(waiter.path, home):
            found = self._by_path.get(path)
            if found is not None:
                found.pop(waiter, None)
                if not found:
                    del self._by_path[path]


def _paths(path: str | None, home: str) -> Iterator[str]:
    """``path`` and the paths above it, as far as they lie inside ``home``."""
    while path and path != home:
        yield path
        path = parent_of(path)
