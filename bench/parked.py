"""Many connections with parked requests, and the time from a trigger to each response."""

from __future__ import annotations

import gc
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Self

from .talk import Connection

_DEADLINE_SECS = 60.0
_AT_ONCE = 512
# Closed at once, so that no port stays in use: there are only 28,000 ports.
_ABORT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Woken:
    """Seconds from sending the trigger to the first, the median and the last response."""

    first: float
    median: float
    last: float


class Parked:
    """Connections, each with one request that is answered later; use it as a context manager.

    Args:
        where: host and port.
        request: the bytes that each connection sends.
        count: the number of connections.
    """

    def __init__(self, where: tuple[str, int], request: bytes, count: int) -> None:
        self._request = request
        self._socks: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        for _ in range(count):
            sock = socket.create_connection(where, _DEADLINE_SECS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self._socks[sock.fileno()] = sock
            self._epoll.register(sock.fileno(), select.EPOLLIN)
            sock.sendall(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for sock in self._socks.values():
            sock.close()

    def again(self, request: bytes | None = None) -> None:
        """Send another request on each connection."""
        self._request = request or self._request
        for sock in self._socks.values():
            sock.sendall(self._request)

    def woken(self, trigger: Connection, data: bytes) -> Woken:
        """Send ``data``, which ends all waits, and measure when each response arrives.

        Raises:
            RuntimeError: an answer came too early, is not 200, or did not come.
        """
        if self._epoll.poll(0):
            raise RuntimeError("a request that should be parked was answered")
        at: list[float] = []
        left = len(self._socks)
        gc.collect()
        gc.disable()
        try:
            began = time.perf_counter()
            trigger.send(data)
            while left:
                ready = self._epoll.poll(_DEADLINE_SECS, _AT_ONCE)
                if not ready:
                    raise RuntimeError(f"{left} of {len(self._socks)} were never answered")
                for number, _ in ready:
                    answer = os.read(number, 65_536)
                    at.append(time.perf_counter())
                    if not answer.startswith(b"HTTP/1.1 200 "):
                        raise RuntimeError(f"a parked request was answered {answer[:100]!r}")
                left -= len(ready)
        finally:
            gc.enable()
        said = trigger.receive()
        if said.status not in (200, 201, 202):
            raise RuntimeError(f"the trigger was answered {said.status}: {said.body!r}")
        return Woken(at[0] - began, at[len(at) // 2] - began, at[-1] - began)
