"""Reads requests that arrive with their whole body. They are served without ASGI, in half the time.

Only plain requests of HTTP/1.1 are read here: commands with one ``Content-Length``, and clients that ask for
a share of a rate. For any other bytes the answer is None, and uvicorn's parser reads them. So all invalid
requests are refused in one place.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import httptools

from sidecar.web.asgi_messages import Scope
from sidecar.web.responses import HttpResponse

_STARTS = (b"POST /v1/", b"PUT /v1/", b"GET /v1/admit")
_END = b"\r\n\r\n"
_MAX_BODY_BYTES = 65_536
_MAX_LENGTH_DIGITS = 6
_OTHER_READING = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
"""Header fields that change how a message is read."""


class WholeRequest(NamedTuple):
    """A request that was read. Part of its body may not have arrived yet.

    Attributes:
        method: the method.
        path: the path.
        query: the query, not decoded.
        headers: names in lower case, and values.
        body: the body.
        end: where the next request begins in the buffer. If that is beyond the received bytes, the rest of
            ``body`` has not arrived.
    """

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    end: int

    def scope(self, client: tuple[str, int] | None, state: dict[str, Any]) -> Scope:
        """The request as an ASGI scope.

        Args:
            client: the address of the client; None: it uses a Unix socket.
            state: the state of the connection.
        """
        return {
            "method": self.method,
            "path": self.path,
            "query_string": self.query,
            "headers": self.headers,
            "client": client,
            "state": state,
        }


class Commands(Protocol):
    """Serves requests without ASGI."""

    def takes(self, path: str) -> bool:
        """Whether it serves ``path``."""

    async def respond(self, scope: Scope, body: bytes) -> tuple[HttpResponse, bool]:
        """The response, and whether the connection ends with it."""


class _Head:
    """One request head, parsed by httptools."""

    __slots__ = ("headers", "hosts", "is_plain", "length", "method", "parser", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: bytes | None = None
        self.hosts = 0
        self.is_plain = True

    def parse(self, head: bytes) -> bool:
        """Return whether ``head`` is one plain head."""
        self.parser = httptools.HttpRequestParser(self)
        self.method = b""
        try:
            self.parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        finally:
            # The parser refers to this object. Without the cycle, the garbage collector has no work.
            del self.parser
        return self.is_plain and bool(self.method)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self.is_plain = self.is_plain and self.length is None
            self.length = value
        elif name == b"host":
            self.hosts += 1
        elif name in _OTHER_READING:
            self.is_plain = False
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self.parser
        self.method = parser.get_method()
        is_invalid = self.hosts != 1 or b"#" in self.target
        if is_invalid or not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            self.is_plain = False


def read_whole(data: bytes, start: int, max_header_bytes: int, max_body_bytes: int) -> WholeRequest | None:
    """The request that begins at ``start``; None: its head is incomplete or not plain, or it is no command.

    Args:
        data: received bytes.
        start: where the request begins.
        max_header_bytes: the longest head.
        max_body_bytes: the longest body.
    """
    if not data.startswith(_STARTS, start):
        return None
    end = data.find(_END, start) + len(_END)
    if end < len(_END) or end - start > max_header_bytes:
        return None
    head = _Head()
    if not head.parse(data[start:end]):
        return None
    path, _, query = head.target.partition(b"?")
    if b"%" in path or not head.target.isascii():
        return None
    length = head.length
    if length is None and head.method == b"GET":
        length = b"0"
    if length is None or len(length) > _MAX_LENGTH_DIGITS or not length.isdigit():
        return None
    size = int(length)
    if size > min(max_body_bytes, _MAX_BODY_BYTES):
        return None
    return WholeRequest(
        head.method.decode(), path.decode(), query, head.headers, data[end : end + size], end + size
    )
