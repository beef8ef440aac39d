"""The commits that the store has announced and that are not applied yet."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from sidecar.store import LoggedCommit, Outdated, Position, SharedStore

_MAX_WAITING = 1_000
"""Above this number of waiting commits, no more are read from the store."""

_LOAD_AGAIN_SECS = (0.5, 1.5)


class ArrivedCommits:
    """Follows the store, and keeps the arrived commits until the writer takes them.

    Args:
        store: the shared store.
        position: returns the last commit that was applied.
        on_arrival: called with each arrived commit.

    Attributes:
        changed: set when a commit has arrived.
        load_failed: the state could not be loaded. The next attempt comes after a jittered second.
    """

    def __init__(
        self,
        store: SharedStore,
        position: Callable[[], Position],
        on_arrival: Callable[[LoggedCommit | Outdated], None],
    ) -> None:
        self.changed = asyncio.Event()
        self.load_failed = False
        self._store = store
        self._position = position
        self._on_arrival = on_arrival
        self._waiting: deque[LoggedCommit | Outdated] = deque()
        self._room = asyncio.Event()

    async def follow(self) -> None:
        """Follow the store, and do not return."""
        while True:
            async for item in self._store.follow(self._position()):
                self._waiting.append(item)
                self.changed.set()
                self._on_arrival(item)
                if isinstance(item, Outdated) or len(self._waiting) > _MAX_WAITING:
                    self._room.clear()
                    await self._room.wait()
                if self.load_failed:
                    await asyncio.sleep(random.uniform(*_LOAD_AGAIN_SECS))  # noqa: S311 - no secret

    def __bool__(self) -> bool:
        """Whether a commit waits to be applied."""
        return bool(self._waiting)

    def take(self, until: int | None) -> list[LoggedCommit | Outdated]:
        """Remove and return the waiting commits up to ``until``; None: all of them."""
        taken: list[LoggedCommit | Outdated] = []
        while self._waiting:
            first = self._waiting[0]
            if until is not None and isinstance(first, LoggedCommit) and first.position.seq > until:
                break
            taken.append(self._waiting.popleft())
        return taken

    def read_on(self) -> None:
        """Allow reading more from the store, because the taken commits are applied."""
        self._room.set()
