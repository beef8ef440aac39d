"""A keep-alive HTTP/1.1 connection: sends bytes, and receives complete responses."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Self

TOKEN = "the-token-of-the-benchmark"  # noqa: S105 - of this run alone
_PART = 16_384
"""Larger reads would keep the kernel from scheduling wrk on the core."""
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Said:
    """A response.

    Attributes:
        status: the HTTP status.
        head: the raw head.
        body: the body.
    """

    status: int
    head: bytes
    body: bytes

    @property
    def etag(self) -> str:
        """The ETag; empty without one."""
        return _header(self.head, b"etag").decode()


def request(method: str, target: str, body: bytes = b"", *headers: str, token: str = TOKEN) -> bytes:
    """The bytes of a request with the credential of the benchmark."""
    lines = [f"{method} {target} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}", *headers]
    if method in ("POST", "PUT"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A connection; use it as a context manager.

    Args:
        where: host and port.
        timeout: seconds that an answer may take.
    """

    def __init__(self, where: tuple[str, int], timeout: float = 120.0) -> None:
        self.sock = socket.create_connection(where, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send a request."""
        self.sock.sendall(data)

    def receive(self) -> Said:
        """Receive the next response.

        Raises:
            ConnectionError: the connection ends before that.
        """
        data = self._rest
        while (end := data.find(_END)) < 0:
            data += self._more()
        head, parts = data[:end], [data[end + len(_END) :]]
        if _header(head, b"transfer-encoding") == b"chunked":
            raise ConnectionError("chunked responses are not supported here")
        left = int(_header(head, b"content-length") or 0) - len(parts[0])
        while left > 0:
            parts.append(self._more())
            left -= len(parts[-1])
        body = b"".join(parts)
        length = len(body) + left
        self._rest = body[length:]
        return Said(int(head[9:12]), head, body[:length])

    def _more(self) -> bytes:
        part = self.sock.recv(_PART)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part

    def ask(self, data: bytes) -> Said:
        """Send a request, and receive its response.

        Raises:
            ConnectionError: it is not 200.
        """
        self.send(data)
        said = self.receive()
        if said.status != 200:  # noqa: PLR2004 - every other status is a failure
            raise ConnectionError(f"answered {said.status}: {said.body[:300]!r}")
        return said

    def timed(self, data: bytes) -> float:
        """Seconds until a request is answered with 200."""
        began = time.perf_counter()
        self.ask(data)
        return time.perf_counter() - began


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""
