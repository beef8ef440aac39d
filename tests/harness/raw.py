"""A plain HTTP/1.1 connection: sends bytes, and receives complete responses."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Self

from .sidecar import Sidecar


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to the sidecar; use it as a context manager."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sock = socket.create_connection(sidecar.where, timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def get(self, target: str, *headers: str, method: str = "GET", version: str = "1.1") -> None:
        self.send("\r\n".join([f"{method} {target} HTTP/{version}", "Host: test", *headers, "", ""]).encode())

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)

    def receive(self, *, head: bool = False) -> Response:
        """Receive the next response. ``head``: it has no body, regardless of its length."""
        while b"\r\n\r\n" not in self._buffer:
            assert self._more(), f"closed after {self._buffer!r}"
        top, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if head else int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            assert self._more(), "closed within a body"
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Response(int(first.split()[1]), headers, body)

    def closed(self) -> bool:
        """Whether the server closes the connection and sends nothing more."""
        return not self._buffer and not self._more()
