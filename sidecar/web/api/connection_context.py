"""The state that the API connections of a process share, and the flow control of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from sidecar.config import LimitsConfig
from sidecar.web.buffer_budget import BufferBudget
from sidecar.web.fair_queue import FairQueue
from sidecar.web.gate.plans import ListenerAccess

from .whole_request import Commands


class ConnectionContext(Protocol):
    """State that all connections of the process share.

    Attributes:
        limits: the limits on heads, bodies and time.
        loop: the event loop of the connections.
        uvicorn: keyword arguments for uvicorn's protocol.
        date: the ``Date`` line of this second.
        queue: connections with buffered requests.
        budget: the bytes that connections buffer.
        commands: serves commands without ASGI; None: nothing does.
        untrusted: the access of connections whose certificate is no longer trusted.
    """

    limits: LimitsConfig
    loop: asyncio.AbstractEventLoop
    uvicorn: dict[str, Any]
    date: bytes
    queue: FairQueue
    budget: BufferBudget
    commands: Commands | None

    @property
    def untrusted(self) -> ListenerAccess:
        """The access of a connection whose certificate is no longer trusted."""

    def count_refusal(self, name: str) -> None:
        """Count a request that was refused with the problem ``name``."""


class ConnectionFlow(FlowControl):
    """Flow control in which the protocol decides when reading is paused."""

    def __init__(self, transport: asyncio.Transport, resumed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._resumed = resumed

    def detach(self) -> None:
        """Drop the reference to the protocol, because the connection has ended."""
        self._resumed = _do_nothing

    def pause_reading(self) -> None:
        """Note that the application's buffer is full. The protocol pauses the transport itself."""
        self.read_paused = True

    def resume_reading(self) -> None:
        """The application has taken the body that it held."""
        if self.read_paused:
            self.read_paused = False
            self._resumed()


def _do_nothing() -> None:
    pass
