"""Who follows a scope and everything inside it, change by change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sidecar.core.scope import lies_within

from .gate import Gate
from .tree import GateTree


class EventStream:
    """What one follower has not been told yet: of each gate once, however often it changed meanwhile.

    Args:
        scope: that, and what is inside, is followed.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self._changed: dict[Gate, None] = {}
        self._news = asyncio.Event()
        self._ended = False

    def tell(self, gates: Iterable[Gate]) -> None:
        """``gates`` have changed, some of them perhaps elsewhere."""
        self._changed.update(dict.fromkeys(gates))
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._news.set()

    async def wait(self, tree: GateTree, secs: float) -> list[tuple[Gate, str | None]] | None:
        """What to tell: gates, each with the unnamed path that it is told of, if there is one.

        Args:
            tree: of all gates.
            secs: to wait at most; then there is nothing to tell.

        Returns:
            None: there will be no more.
        """
        try:
            async with asyncio.timeout(secs):
                await self._news.wait()
        except TimeoutError:
            return []
        if self._ended:
            return None
        self._news.clear()
        changed, self._changed = self._changed, {}
        home, path = tree.find(self.scope)
        told: list[tuple[Gate, str | None]] = [(home, path)] if path is not None and home in changed else []
        return told + [(gate, None) for gate in changed if lies_within(gate.scope, self.scope)]


class EventStreams:
    """All followers."""

    def __init__(self) -> None:
        self.max_streams = 1_000
        self._streams: set[EventStream] = set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._streams)

    def begin(self, scope: str) -> EventStream | None:
        """Follow ``scope``; None: as many do as may."""
        if len(self._streams) >= self.max_streams or self._closing:
            return None
        stream = EventStream(scope)
        self._streams.add(stream)
        return stream

    def leave(self, stream: EventStream) -> None:
        """The follower has gone."""
        self._streams.discard(stream)

    def tell(self, gates: Iterable[Gate]) -> None:
        """``gates`` have changed."""
        for stream in self._streams:
            stream.tell(gates)

    def shut_down(self) -> None:
        """Nobody follows any more."""
        self._closing = True
        for stream in self._streams:
            stream.end()
