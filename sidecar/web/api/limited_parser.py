"""The parsing half of an API connection: pieces of one message at a time, and the limits of heads.

A message that is invalid or too large is refused with a problem, after the responses to earlier requests.
Then the connection ends.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sidecar.web.problems import Problem
from sidecar.web.responses import problem_response

from .connection_context import ConnectionContext

CLOSE = b"Connection: close\r\n"
_END = b"\r\n\r\n"
_BODY_BYTES = 65_536
"""Bytes of a body that are parsed at once."""
_CHUNKED_BYTES = 256, 4096
"""The same for a chunked body. Its end is not known, so a piece is too small to contain many requests."""
_VERSIONS = ("1.0", "1.1")


class LimitedParser(HttpToolsProtocol):
    """The part of a connection that parses its buffer piece by piece, and refuses messages.

    Args:
        context: the state that connections share.
        uvicorn: keyword arguments for uvicorn's protocol.
    """

    def __init__(self, context: ConnectionContext, uvicorn: dict[str, Any]) -> None:
        super().__init__(**uvicorn, _loop=context.loop)
        self._context = context
        self._buffer = b""
        self._start = 0
        self._body_left: int | None = 0
        # The requests that are not answered yet. A piece of a chunked body may contain further requests.
        self._unanswered: list[Any] = []
        self._head_bytes = self._trailer_bytes = 0
        self._in_head = False
        self._in_message = False
        self._heads_begun = 0
        self._is_refused = False
        self._refusal: Problem | None = None
        self._upgrade_asked = False
        self._slow_sweeps = 0

    def _next_piece(self) -> bytes:
        """The next bytes to parse. They contain the end of at most one message, except in a chunked body."""
        data, start = self._buffer, self._start
        if self._in_message and not self._in_head:
            if self._body_left is None:
                least, most = _CHUNKED_BYTES
                found = data.find(_END, start + least - len(_END), start + most)
                end = start + most if found < 0 else found + len(_END)
            else:
                end = start + min(self._body_left or _BODY_BYTES, _BODY_BYTES)
        else:
            found = data.find(_END, start)
            end = len(data) if found < 0 else found + len(_END)
        piece = data[start:end]
        if end >= len(data):
            self._buffer, self._start = b"", 0
        else:
            self._start = end
        return piece

    def _parse(self, piece: bytes) -> None:
        was_in_head, was_in_message, self._heads_begun = self._in_head, self._in_message, 0
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("the request does not follow the syntax of HTTP")
            return
        begun = self._heads_begun
        if self._in_head and ((begun == 0 and was_in_head) or (begun == 1 and not was_in_message)):
            # The whole piece belongs to this head. If another message ends in the piece, the share is not
            # known.
            self._head_bytes += len(piece)
        if self._in_head and self._head_bytes > self._context.limits.max_header_bytes:
            self._refuse_head()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the head again without ``Upgrade``. ``rest`` follows the head and is HTTP/1.1 too."""
        if not self._upgrade_asked:
            self.send_400_response("this method is not supported")
            return
        self._upgrade_asked = False
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._in_message = False
        self._buffer = rest + self._buffer[self._start :]
        self._start = 0
        self._parse(b"\r\n".join(lines) + _END)

    # -- called by the parser ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = self._in_message = True
        self._heads_begun += 1
        self._head_bytes = self._trailer_bytes = self._slow_sweeps = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a field of a trailer, which is ignored."""
        if self._in_head:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > self._context.limits.max_header_bytes and not self._is_refused:
            limit = self._context.limits.max_header_bytes
            detail = f"the trailer is longer than {limit} bytes (limits.max_header_bytes)"
            self._refuse(Problem("header-too-large", detail))

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._in_head, self._slow_sweeps = False, 0
        if self._is_refused:
            # The bytes that follow a refused request may not be a request.
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._context.limits.max_header_bytes:
            self._refuse_head()
            return
        if self.parser.should_upgrade():
            self._upgrade_asked = self.parser.get_method() != b"CONNECT"
            return
        if self.parser.get_http_version() not in _VERSIONS:
            self.send_400_response("the version is neither 1.0 nor 1.1")
            return
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self.send_400_response(f"it has {hosts} Host fields, and must have one")
            return
        if b"#" in self.url:
            self.send_400_response("the target has a fragment (#), which is for the client alone")
            return
        if any(name == b"transfer-encoding" for name, _ in self.headers) and not self._is_chunked():
            return
        self._body_left = _body_size(self.headers)
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        if self.parser.get_http_version() == "1.0" and self.parser.should_keep_alive():
            self.cycle.keep_alive = True
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"keep-alive")]

    def _is_chunked(self) -> bool:
        """Whether the body is only chunked; refuses the request if it has any other transfer coding.

        A client and a proxy might disagree about the end of any other body.
        """
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if [one.strip().lower() for one in codings] != [b"chunked"]:
            self.send_400_response("its transfer coding is not chunked, which is the only one supported")
        elif self.parser.get_http_version() == "1.0":
            self.send_400_response("HTTP/1.0 has no transfer codings")
        else:
            return True
        return False

    def on_body(self, body: bytes) -> None:
        """A part of a body was parsed."""
        if self._is_refused or self._upgrade_asked:
            return
        if self._body_left is not None:
            self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A message ends."""
        if self._upgrade_asked:
            return
        self._in_message = False
        if not self._is_refused:
            super().on_message_complete()

    # -- refusals ---------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not a valid request."""
        self._refuse(Problem("invalid-request", msg))

    def _refuse_head(self) -> None:
        limit = self._context.limits.max_header_bytes
        detail = f"the head is longer than {limit} bytes (limits.max_header_bytes)"
        self._refuse(Problem("header-too-large", detail))

    def _refuse(self, problem: Problem) -> None:
        """Respond with ``problem`` and close, after the responses to earlier requests."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._context.count_refusal(problem.name)
        cycle = self.cycle
        is_own = self._in_message and not self._in_head
        if cycle is not None and not cycle.response_complete and (not is_own or cycle.response_started):
            self._refusal = None if is_own else problem
            cycle.keep_alive = not is_own
            return
        if cycle is not None and not cycle.response_complete:
            # The current message is broken, so the application must not answer it as well.
            cycle.disconnected = True
            cycle.message_event.set()
        self._write_refusal(problem)

    def _write_refusal(self, problem: Problem) -> None:
        answer = problem_response(problem).to_bytes(self._context.date, connection=CLOSE)
        self.transport.write(answer)
        self.transport.close()


def _body_size(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The bytes of the body that follows ``headers``; None: it is chunked."""
    size = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            size = int(value)
    return size
