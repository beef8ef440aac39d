"""uvicorn's protocol with limits: on the size of a head, and on how long a client may take."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sidecar.config import LimitsConfig
from sidecar.web.gate.plans import ListenerAccess
from sidecar.web.problems import Problem
from sidecar.web.responses import problem_response


class ConnectionContext(Protocol):
    """What all connections of the process share.

    Attributes:
        limits: on heads, bodies and time.
        loop: the event loop of the connections.
        uvicorn: keyword arguments for uvicorn's protocol.
        date: the ``Date`` line of this second.
    """

    limits: LimitsConfig
    loop: asyncio.AbstractEventLoop
    uvicorn: dict[str, Any]
    date: bytes

    def count_refusal(self, name: str) -> None:
        """Count a request that was refused with the problem ``name``."""


class ApiProtocol(HttpToolsProtocol):
    """A connection on which something else than gate or watch was asked for.

    Args:
        context: what connections share.
        access: the way it came.
    """

    def __init__(self, context: ConnectionContext, access: ListenerAccess) -> None:
        uvicorn: dict[str, Any] = {
            **context.uvicorn,
            "app_state": {**context.uvicorn["app_state"], "access": access},
        }
        super().__init__(**uvicorn, _loop=context.loop)
        self._context = context
        self._head_bytes = 0
        self._in_head = False
        self._in_message = False
        self._begun = 0
        self._is_refused = False
        self._slow_sweeps = 0

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not whole."""
        if self._is_refused:
            return
        was_in_head, was_in_message, self._begun = self._in_head, self._in_message, 0
        super().data_received(data)
        begun = self._begun
        if self._in_head and ((begun == 0 and was_in_head) or (begun == 1 and not was_in_message)):
            # All of it belongs to this head; where another message ends before it, who knows how much.
            self._head_bytes += len(data)
        if self._in_head and self._head_bytes > self._context.limits.max_header_bytes:
            self._refuse()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = self._in_message = True
        self._begun += 1
        self._head_bytes = self._slow_sweeps = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head, self._slow_sweeps = False, 0
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._context.limits.max_header_bytes:
            self._refuse()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A message ends."""
        self._in_message = False
        if not self._is_refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._slow_sweeps = 0
        super().pause_writing()

    def sweep(self, secs: float) -> None:
        """Called every ``secs`` seconds: end the connection of a client that is too slow."""
        limits = self._context.limits
        self._slow_sweeps += 1
        slow_for = (self._slow_sweeps - 1) * secs
        drips = self._in_head and slow_for >= limits.header_timeout_secs
        reads_not = self.flow is not None and self.flow.write_paused and slow_for >= limits.write_timeout_secs
        if drips or reads_not:
            self._context.count_refusal("too-slow")
            self.transport.abort()

    def _refuse(self) -> None:
        self._is_refused = True
        limit = self._context.limits.max_header_bytes
        problem = Problem(
            "header-too-large", f"the head is longer than {limit} bytes (limits.max_header_bytes)"
        )
        self._context.count_refusal(problem.name)
        answer = problem_response(problem).to_bytes(self._context.date, connection=b"Connection: close\r\n")
        self.transport.write(answer)
        self.transport.close()
