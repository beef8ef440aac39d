"""Serves pipelined requests fairly: one request per connection, round-robin.

After each request, a connection with pipelined requests goes to the end of the queue. One pass of the event
loop spends at most `_SLICE_SECS` on the queue, so pipelined requests do not delay connections that
send one request at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol

from sidecar.supervision import Failures

_SLICE_SECS = 0.0005
_NAME = "pipelined_requests"


class PipelinedConnection(Protocol):
    """A connection with buffered requests.

    Attributes:
        queued: whether it is in the queue.
    """

    queued: bool

    def serve_next(self) -> bool:
        """Serve one buffered request; return whether another one can be served now."""

    def drop(self) -> None:
        """End the connection at once."""


class FairQueue:
    """The queue of connections with buffered requests.

    Args:
        loop: serves the queue.
        failures: counts and logs the exceptions of connections.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, failures: Failures) -> None:
        self._loop = loop
        self._failures = failures
        self._waiting: deque[PipelinedConnection] = deque()
        failures.register(_NAME)

    def add(self, connection: PipelinedConnection) -> None:
        """Add ``connection`` to the end of the queue."""
        if connection.queued:
            return
        connection.queued = True
        self._waiting.append(connection)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._serve_slice)

    def _serve_slice(self) -> None:
        waiting = self._waiting
        deadline = time.perf_counter() + _SLICE_SECS
        while waiting:
            self._serve(waiting[0])
            if time.perf_counter() >= deadline:
                break
        if waiting:
            self._loop.call_soon(self._serve_slice)

    def _serve(self, connection: PipelinedConnection) -> None:
        """Serve one request of ``connection``, which is first in the queue."""
        more = False
        try:
            # The connection stays first in the queue until then, so that nothing schedules a second slice.
            connection.queued = False
            more = connection.serve_next()
        except Exception:  # noqa: BLE001 - recorded; the other connections are still served
            self._failures.record(_NAME)
            connection.drop()
        self._waiting.popleft()
        if more and not connection.queued:
            connection.queued = True
            self._waiting.append(connection)
