"""What gate and watch answer: the same content, whichever door it leaves by."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .problems import CONTENT_TYPE, Problem, reason_phrase


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, but for what its connection adds.

    Attributes:
        status: of HTTP.
        headers: names as they are to be sent, without the length.
        body: empty for 304.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def to_bytes(self, date: bytes, *, head: bool = False, connection: bytes = b"") -> bytes:
        """The response for the wire.

        Args:
            date: a whole ``Date`` line.
            head: leave the body out, as for HEAD.
            connection: a whole ``Connection`` line, if there is to be one.
        """
        return self.status_line + date + self.after_date(head=head, connection=connection)

    @property
    def status_line(self) -> bytes:
        """What comes before the date."""
        return f"HTTP/1.1 {self.status} {reason_phrase(self.status)}\r\n".encode()

    def after_date(self, *, head: bool = False, connection: bytes = b"") -> bytes:
        """What comes after it: the same for as long as the answer is. Arguments as for `to_bytes`."""
        lines = [connection]
        lines += [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in self.headers]
        if self.status != 304:  # noqa: PLR2004 - Not Modified has no body to tell the length of
            lines.append(b"Content-Length: %d\r\n" % len(self.body))
        lines.append(b"X-Content-Type-Options: nosniff\r\n\r\n")
        if not head:
            lines.append(self.body)
        return b"".join(lines)


def json_response(value: object) -> HttpResponse:
    """200 with ``value`` as JSON."""
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return HttpResponse(200, headers, json.dumps(value).encode())


def text_response(text: str) -> HttpResponse:
    """200 with a line of plain text."""
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    return HttpResponse(200, headers, text.encode())


def problem_response(problem: Problem) -> HttpResponse:
    """A problem document."""
    return HttpResponse(
        problem.status,
        (("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"), *problem.headers.items()),
        problem.body,
    )
