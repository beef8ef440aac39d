"""Responses, independent of the protocol that sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.json_pieces import dump_in_pieces

from .problems import CONTENT_TYPE, Problem, header_fields, reason_phrase


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, without the headers that the connection adds.

    Attributes:
        status: HTTP status code.
        headers: names and values, without ``Content-Length``.
        body: empty for 304.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def to_bytes(self, date: bytes, *, head: bool = False, connection: bytes = b"") -> bytes:
        """Serialize the response.

        Args:
            date: a complete ``Date`` line.
            head: leave the body out, as for HEAD.
            connection: a complete ``Connection`` line, or empty.
        """
        return self.status_line + date + self.after_date(head=head, connection=connection)

    @property
    def status_line(self) -> bytes:
        """The part before the date."""
        return f"HTTP/1.1 {self.status} {reason_phrase(self.status)}\r\n".encode()

    def after_date(self, *, head: bool = False, connection: bytes = b"") -> bytes:
        """The part after the date, which does not change with time. Arguments as for `to_bytes`."""
        lines = [connection]
        lines += [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in self.headers]
        if self.status != 304:  # noqa: PLR2004 - Not Modified has no body and so no length
            lines.append(b"Content-Length: %d\r\n" % len(self.body))
        lines.append(b"X-Content-Type-Options: nosniff\r\n\r\n")
        if not head:
            lines.append(self.body)
        return b"".join(lines)


def json_response(value: object) -> HttpResponse:
    """200 with ``value`` as JSON."""
    return _json_response(json.dumps(value).encode())


def large_json_response(value: Mapping[str, Any]) -> HttpResponse:
    """The same for a large object, rendered in a thread in pieces. Its lists are emptied."""
    return _json_response(b"".join(dump_in_pieces(value)))


def _json_response(body: bytes) -> HttpResponse:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return HttpResponse(200, headers, body)


def text_response(text: str) -> HttpResponse:
    """200 with a line of plain text."""
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    return HttpResponse(200, headers, text.encode())


def problem_response(problem: Problem) -> HttpResponse:
    """The response with the problem document of ``problem``."""
    return HttpResponse(
        problem.status,
        (
            ("Content-Type", CONTENT_TYPE),
            ("Cache-Control", "no-store"),
            *header_fields(problem, problem.challenges),
        ),
        problem.body,
    )
