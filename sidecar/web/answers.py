"""What gate and watch answer: the same content, whichever door it leaves by."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from sidecar.runtime.gate import Gate, snapshot
from sidecar.runtime.waiter import Ending

from .problems import CONTENT_TYPE, Problem, reason_phrase
from .requests import GateRequest

RAMP_HEADER = "Wellbeing-Ramp-Per-Sec"
"""With the snapshot of an open gate: how many of those that wait in this client to let through a second."""

_RETRY_AFTER_CAP_SECS = 10.0
"""A refused client asks again within this time even if the pause may last longer: it may end early."""


@dataclass(frozen=True, slots=True)
class Answer:
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


def snapshot_answer(gate: Gate, path: str | None = None) -> Answer:
    """200 with the snapshot of ``gate``, or of the unnamed ``path`` that follows it."""
    shot = snapshot(gate, path)
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("ETag", f'"{shot.version}"'),
    ]
    if not gate.closed and gate.policy.resume_ramp_per_sec:
        headers.append((RAMP_HEADER, f"{gate.ramp_per_sec:g}"))
    return Answer(200, tuple(headers), json.dumps(shot.to_json()).encode())


def json_answer(value: object) -> Answer:
    """200 with ``value`` as JSON."""
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(200, headers, json.dumps(value).encode())


def text_answer(text: str) -> Answer:
    """200 with a line of plain text."""
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    return Answer(200, headers, text.encode())


def unchanged_answer(version: int) -> Answer:
    """304: the client has the snapshot already."""
    return Answer(304, (("Cache-Control", "no-store"), ("ETag", f'"{version}"')), b"")


def problem_answer(problem: Problem) -> Answer:
    """A problem document."""
    return Answer(
        problem.status,
        (("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"), *problem.headers.items()),
        problem.body,
    )


def ended_answer(request: GateRequest, ending: Ending, gate: Gate, path: str | None, now: float) -> Answer:
    """What a request is told whose wait ended, or never began.

    Args:
        request: as it was asked.
        ending: how it ended.
        gate: where it was parked.
        path: the unnamed scope it asked for; None: the gate's own.
        now: wall time.
    """
    if ending is Ending.OPENED or ending is Ending.CHANGED:
        return snapshot_answer(gate, path)
    if ending is Ending.TOO_MANY_WAITERS:
        detail = (
            "as many requests wait as may (limits.max_waiters and max_waiters_per_scope): try again later"
        )
        return problem_answer(Problem("too-many-waiters", detail, headers={"Retry-After": "1"}))
    if ending is Ending.TOO_MANY_WATCHERS:
        detail = "as many watches are parked as may (limits.max_watchers): try again later"
        return problem_answer(Problem("too-many-watchers", detail, headers={"Retry-After": "1"}))
    if ending is Ending.SHUTTING_DOWN:
        detail = "the sidecar is shutting down: ask again, it or its successor will answer"
        return problem_answer(Problem("shutting-down", detail, headers={"Retry-After": "1"}))
    if request.watch:
        return unchanged_answer(gate.version)
    return problem_answer(_paused(request, gate, path, now))


def _paused(request: GateRequest, gate: Gate, path: str | None, now: float) -> Problem:
    shot = snapshot(gate, path)
    secs = request.wait_secs(gate.policy.wait_timeout_secs)
    hold = gate.hold
    left = hold.until - now if hold and hold.until is not None else _RETRY_AFTER_CAP_SECS
    retry_after = max(1, math.ceil(min(left, _RETRY_AFTER_CAP_SECS)))
    headers = {"Retry-After": str(retry_after), "ETag": f'"{shot.version}"'}
    if request.deny_status == 401:  # noqa: PLR2004 - HTTP wants a challenge beside an Unauthorized
        headers["WWW-Authenticate"] = 'Wellbeing realm="inference"'
    return Problem(
        "inference-paused",
        f"inference paused due to wellbeing intervention: {shot.reason} (timeout after {secs:g}s)",
        status=request.deny_status,
        headers=headers,
        retry_after=retry_after,
        **{name: value for name, value in shot.to_json().items() if name != "status"},
    )
