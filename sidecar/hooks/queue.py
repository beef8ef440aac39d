"""The queue of one hook: events that wait for their endpoint, oldest first."""

from __future__ import annotations

import asyncio
from collections import deque

from .events import HookEvent


class HookQueue:
    """A bounded queue. If it is full, the oldest event that is not being sent is dropped.

    Args:
        most: maximum number of waiting events.

    Attributes:
        sending: whether the oldest event is being sent.
    """

    def __init__(self, most: int) -> None:
        self.sending = False
        self._events: deque[HookEvent] = deque()
        self._filled = asyncio.Event()
        self._most = most

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: HookEvent) -> int:
        """Add ``event`` at the end. Returns how many events were dropped to make room."""
        self._events.append(event)
        self._filled.set()
        return self._drop()

    def limit(self, most: int) -> int:
        """Change the limit of waiting events. Returns how many were dropped."""
        self._most = most
        return self._drop()

    async def wait(self) -> HookEvent:
        """The oldest event, as soon as there is one. It stays in the queue."""
        while not self._events:
            self._filled.clear()
            await self._filled.wait()
        return self._events[0]

    @property
    def first(self) -> HookEvent | None:
        """The oldest event; None: the queue is empty."""
        return self._events[0] if self._events else None

    def remove_first(self) -> None:
        """Remove the oldest event."""
        self._events.popleft()

    def _drop(self) -> int:
        dropped = 0
        while len(self._events) - self.sending > self._most:
            # The event that is being sent may already have arrived.
            del self._events[1 if self.sending else 0]
            dropped += 1
        return dropped
