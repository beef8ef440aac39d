"""Responses to gate and watch requests, for both the fast path and the ASGI path."""

from __future__ import annotations

import json

from sidecar.gates.gate import Ending, Gate
from sidecar.gates.snapshot import snapshot_of
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, problem_response
from sidecar.web.retry_after import retry_after, spread

from .requests import GateRequest

RAMP_HEADER = "Wellbeing-Ramp-Per-Sec"
"""A header of an open gate's snapshot: requests that wait in a client pass at this rate, all together."""

_RETRY_AFTER_CAP_SECS = 10.0
"""The longest time, before it is randomized: a pause may end earlier than expected."""


def snapshot_response(gate: Gate, path: str | None = None) -> HttpResponse:
    """200 with the snapshot of ``gate``, or of the unnamed ``path`` that follows it."""
    snapshot = snapshot_of(gate, path)
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("ETag", f'"{snapshot.version}"'),
    ]
    if not gate.blocks and gate.policy.resume_ramp_per_sec:
        headers.append((RAMP_HEADER, f"{gate.policy.resume_ramp_per_sec:g}"))
    return HttpResponse(200, tuple(headers), json.dumps(snapshot.to_json()).encode())


def not_modified_response(version: int) -> HttpResponse:
    """304: the client already has this snapshot."""
    return HttpResponse(304, (("Cache-Control", "no-store"), ("ETag", f'"{version}"')), b"")


def ended_response(
    request: GateRequest, ending: Ending, gate: Gate, path: str | None, now: float
) -> HttpResponse:
    """The response to a request whose wait has ended or never began.

    Args:
        request: the request.
        ending: how the wait ended.
        gate: where it was parked.
        path: the requested scope if it is unknown; None: it is the gate's scope.
        now: wall time in seconds.
    """
    if ending is Ending.OPENED or ending is Ending.CHANGED:
        return snapshot_response(gate, path)
    if ending is Ending.TOO_MANY_WAITERS:
        detail = (
            "too many requests are waiting (limits.max_waiters and max_waiters_per_scope): try again later"
        )
        return problem_response(Problem("too-many-waiters", detail, headers=retry_after(1)))
    if ending is Ending.TOO_MANY_WATCHERS:
        detail = "too many watches are open (limits.max_watchers): try again later"
        return problem_response(Problem("too-many-watchers", detail, headers=retry_after(1)))
    if ending is Ending.SHUTTING_DOWN:
        detail = "the sidecar is shutting down: try again later"
        return problem_response(Problem("shutting-down", detail, headers=retry_after(1)))
    if request.watch:
        return not_modified_response(gate.version)
    return problem_response(_paused(request, gate, path, now))


def _paused(request: GateRequest, gate: Gate, path: str | None, now: float) -> Problem:
    snapshot = snapshot_of(gate, path)
    secs = request.wait_secs(gate.policy.wait_timeout_secs)
    hold = gate.hold
    left = hold.until - now if hold and hold.until is not None else _RETRY_AFTER_CAP_SECS
    secs_until_next = spread(min(left, _RETRY_AFTER_CAP_SECS))
    headers = {"Retry-After": str(secs_until_next), "ETag": f'"{snapshot.version}"'}
    if request.deny_status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2: with a challenge
        headers["WWW-Authenticate"] = 'Wellbeing realm="inference"'
    return Problem(
        "inference-paused",
        f"inference paused due to wellbeing intervention: {snapshot.reason} (timeout after {secs:g}s)",
        status=request.deny_status,
        headers=headers,
        retry_after=secs_until_next,
        **{name: value for name, value in snapshot.to_json().items() if name != "status"},
    )
