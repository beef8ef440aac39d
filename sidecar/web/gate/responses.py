"""What gate and watch requests are answered: the same on the fast path and on the ASGI path."""

from __future__ import annotations

import json
import math

from sidecar.gates.gate import Ending, Gate
from sidecar.gates.snapshot import snapshot_of
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, problem_response

from .requests import GateRequest

RAMP_HEADER = "Wellbeing-Ramp-Per-Sec"
"""With the snapshot of an open gate: how many of those that wait in this client to let through a second."""

_RETRY_AFTER_CAP_SECS = 10.0
"""A refused client asks again within this time even if the pause may last longer: it may end early."""


def snapshot_response(gate: Gate, path: str | None = None) -> HttpResponse:
    """200 with the snapshot of ``gate``, or of the unnamed ``path`` that follows it."""
    shot = snapshot_of(gate, path)
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("ETag", f'"{shot.version}"'),
    ]
    if not gate.closed and gate.policy.resume_ramp_per_sec:
        headers.append((RAMP_HEADER, f"{gate.ramp_per_sec:g}"))
    return HttpResponse(200, tuple(headers), json.dumps(shot.to_json()).encode())


def not_modified_response(version: int) -> HttpResponse:
    """304: the client has the snapshot already."""
    return HttpResponse(304, (("Cache-Control", "no-store"), ("ETag", f'"{version}"')), b"")


def ended_response(
    request: GateRequest, ending: Ending, gate: Gate, path: str | None, now: float
) -> HttpResponse:
    """What a request is told whose wait ended, or never began.

    Args:
        request: as it was asked.
        ending: how it ended.
        gate: where it was parked.
        path: the unnamed scope it asked for; None: the gate's own.
        now: wall time.
    """
    if ending is Ending.OPENED or ending is Ending.CHANGED:
        return snapshot_response(gate, path)
    if ending is Ending.TOO_MANY_WAITERS:
        detail = (
            "as many requests wait as may (limits.max_waiters and max_waiters_per_scope): try again later"
        )
        return problem_response(Problem("too-many-waiters", detail, headers={"Retry-After": "1"}))
    if ending is Ending.TOO_MANY_WATCHERS:
        detail = "as many watches are parked as may (limits.max_watchers): try again later"
        return problem_response(Problem("too-many-watchers", detail, headers={"Retry-After": "1"}))
    if ending is Ending.SHUTTING_DOWN:
        detail = "the sidecar is shutting down: ask again, it or its successor will answer"
        return problem_response(Problem("shutting-down", detail, headers={"Retry-After": "1"}))
    if request.watch:
        return not_modified_response(gate.version)
    return problem_response(_paused(request, gate, path, now))


def _paused(request: GateRequest, gate: Gate, path: str | None, now: float) -> Problem:
    shot = snapshot_of(gate, path)
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
