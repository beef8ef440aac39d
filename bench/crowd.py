"""Thousands of connections with parked requests and event streams, all read while an event happens."""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from .talk import Connection, request

_DEADLINE_SECS = 120.0
_PART = 262_144
_ABORT = struct.pack("ii", 1, 0)
_ETAG = re.compile(rb'\r\netag: ("[^"]*")', re.IGNORECASE)
_SETTLE_SECS = 0.1


class Crowd:
    """Connections to one server; use it as a context manager.

    Attributes:
        parked: how many requests are parked.
    """

    def __init__(self, where: tuple[str, int]) -> None:
        self._where = where
        self._socks: dict[int, socket.socket] = {}
        self._streams: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self.parked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for sock in (*self._socks.values(), *self._streams.values()):
            sock.close()

    def open_streams(self, scopes: Iterable[str]) -> None:
        """Open an event stream for each of ``scopes``, and read what comes at once."""
        for scope in scopes:
            sock = self._connect(request("GET", f"/v1/events/{scope}"))
            self._streams[sock.fileno()] = sock
        self.drain()

    def wait(self, scopes: Sequence[str]) -> None:
        """Park a gate request for each of ``scopes``, which have to be closed."""
        self._send([request("GET", f"/v1/gate/{scope}?wait=600") for scope in scopes])
        self.parked = len(scopes)

    def watch(self, scopes: Sequence[str]) -> None:
        """Park a watch for each of ``scopes``."""
        self._send([request("GET", f"/v1/watch/{scope}") for scope in scopes])
        etags: dict[int, bytes] = {}
        while len(etags) < len(scopes):
            for number, data in self._read():
                if number in self._socks and (found := _ETAG.search(data)):
                    etags[number] = found[1]
        for (number, sock), scope in zip(self._socks.items(), scopes, strict=False):
            condition = f"If-None-Match: {etags[number].decode()}"
            sock.sendall(request("GET", f"/v1/watch/{scope}?wait=300", b"", condition))
        self.parked = len(scopes)

    def drain(self) -> None:
        """Read until nothing comes any more."""
        while self._read(_SETTLE_SECS):
            pass

    def drain_for(self, secs: float) -> None:
        """Read what comes within ``secs`` seconds."""
        until = time.perf_counter() + secs
        while (left := until - time.perf_counter()) > 0:
            self._read(left)

    def during(self, act: Callable[[], float], *, woken: int) -> tuple[float, float]:
        """Act, and read whatever is sent meanwhile, until ``woken`` parked requests are answered.

        Args:
            act: returns after how many seconds its own response was there, 0 as long as it is not. It is
                called again and again, and must not block.
            woken: how many parked requests the act wakes.

        Returns:
            Seconds until the response to the act, and until the last parked request was answered.

        Raises:
            RuntimeError: a parked request got another answer than 200, or not all were answered.
        """
        left, last, own = woken, 0.0, 0.0
        began = time.perf_counter()
        while left > 0 or not own:
            own = own or act()
            for number, data in self._read(0.0005):
                if number in self._socks and data.startswith(b"HTTP/1.1 "):
                    if not data.startswith(b"HTTP/1.1 200 "):
                        raise RuntimeError(f"a parked request was answered {data[:200]!r}")
                    left -= 1
                    last = time.perf_counter() - began
            if time.perf_counter() - began > _DEADLINE_SECS:
                raise RuntimeError(f"{left} of {woken} parked requests were not answered; own answer: {own}")
        self.parked -= woken
        return own, last

    def _send(self, data: Sequence[bytes]) -> None:
        """Send one request on each of as many connections."""
        if self.parked:
            raise RuntimeError(f"{self.parked} requests are still parked")
        while len(self._socks) < len(data):
            sock = self._connect(b"")
            self._socks[sock.fileno()] = sock
        for sock, one in zip(self._socks.values(), data, strict=False):
            sock.sendall(one)

    def _connect(self, data: bytes) -> socket.socket:
        sock = socket.create_connection(self._where, _DEADLINE_SECS)
        # Closed at once: there are but 28,000 ports.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        if data:
            sock.sendall(data)
        return sock

    def _read(self, secs: float = 1.0) -> list[tuple[int, bytes]]:
        found = []
        for number, _ in self._epoll.poll(secs, 256):
            sock = self._socks.get(number) or self._streams[number]
            data = sock.recv(_PART)
            if not data:
                raise RuntimeError("the server has closed a connection")
            found.append((number, data))
        return found


class Sent:
    """A request that is on its way; for `Crowd.during`.

    Args:
        connection: sends it.
        data: the request.
    """

    def __init__(self, connection: Connection, data: bytes) -> None:
        self._connection = connection
        self._sock = connection.sock
        self._left = memoryview(data)
        self._began = time.perf_counter()
        self._sock.setblocking(False)

    def __call__(self) -> float:
        """Send on; return after how many seconds the response was there, 0 if it is not."""
        if self._left:
            try:
                self._left = self._left[self._sock.send(self._left) :]
            except BlockingIOError:
                return 0.0
        if self._left or not select.select([self._sock], [], [], 0)[0]:
            return 0.0
        took = time.perf_counter() - self._began
        self._sock.setblocking(True)
        said = self._connection.receive()
        if said.status != 200:  # noqa: PLR2004 - every other status is a failure
            raise RuntimeError(f"answered {said.status}: {said.body[:300]!r}")
        return took


class Flood:
    """Connections that send many requests, each the next one as soon as its last is answered.

    Args:
        where: the server.
    """

    def __init__(self, where: tuple[str, int], count: int = 32) -> None:
        self._connections = [Connection(where) for _ in range(count)]
        self._by_number = {one.sock.fileno(): one for one in self._connections}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._connections:
            one.sock.close()

    def sending(self, data: Iterable[bytes]) -> Callable[[], float]:
        """Send ``data``; the result is for `Crowd.during`."""
        poll = select.epoll()
        left = iter(data)
        busy = 0
        began = time.perf_counter()
        for number, one in self._by_number.items():
            if (first := next(left, None)) is not None:
                poll.register(number, select.EPOLLIN)
                one.send(first)
                busy += 1

        def act() -> float:
            nonlocal busy
            for number, _ in poll.poll(0.001):
                one = self._by_number[number]
                said = one.receive()
                if said.status != 200:  # noqa: PLR2004 - every other status is a failure
                    raise RuntimeError(f"answered {said.status}: {said.body[:300]!r}")
                if (following := next(left, None)) is not None:
                    one.send(following)
                else:
                    busy -= 1
            if busy:
                return 0.0
            poll.close()
            return time.perf_counter() - began

        return act
