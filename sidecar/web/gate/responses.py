"""Responses to gate and watch requests, for both the fast path and the ASGI path."""

from __future__ import annotations

import json
import logging
from typing import Any

from sidecar.gates.gate import Ending, Gate
from sidecar.gates.snapshot import snapshot_of
from sidecar.trace_context import HEADER
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, problem_response
from sidecar.web.retry_after import retry_after, spread

from .requests import GateRequest

logger = logging.getLogger(__name__)

RAMP_HEADER = "Wellbeing-Ramp-Per-Sec"
"""A header of an open gate's snapshot: how many waiting requests the client may admit per second."""

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
    if not gate.closed and gate.policy.resume_ramp_per_sec:
        headers.append((RAMP_HEADER, f"{gate.ramp_per_sec:g}"))
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
    if request.traceparent is not None:
        _log_refusal(request, ending, gate, path)
    if ending is Ending.TOO_MANY_WAITERS:
        detail = (
            "too many requests are waiting (limits.max_waiters and max_waiters_per_scope): try again later"
        )
        return problem_response(_turned_away("too-many-waiters", detail, request))
    if ending is Ending.TOO_MANY_WATCHERS:
        detail = "too many watches are open (limits.max_watchers): try again later"
        return problem_response(Problem("too-many-watchers", detail, headers=retry_after(1)))
    if ending is Ending.SHUTTING_DOWN:
        detail = "the sidecar is shutting down: try again later"
        return problem_response(_turned_away("shutting-down", detail, request))
    if request.watch:
        return not_modified_response(gate.version)
    return problem_response(_paused(request, gate, path, now))


def _paused(request: GateRequest, gate: Gate, path: str | None, now: float) -> Problem:
    snapshot = snapshot_of(gate, path)
    secs = request.wait_secs(gate.policy.wait_timeout_secs)
    hold = gate.hold
    left = hold.until - now if hold and hold.until is not None else _RETRY_AFTER_CAP_SECS
    secs_until_next = spread(min(left, _RETRY_AFTER_CAP_SECS))
    trace = _trace_of(request)
    headers = {"Retry-After": str(secs_until_next), "ETag": f'"{snapshot.version}"', **trace}
    if request.deny_status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2: with a challenge
        headers["WWW-Authenticate"] = 'Wellbeing realm="inference"'
    return Problem(
        "inference-paused",
        f"inference paused due to wellbeing intervention: {snapshot.reason} (timeout after {secs:g}s)",
        status=request.deny_status,
        headers=headers,
        retry_after=secs_until_next,
        **{name: value for name, value in {**trace, **snapshot.to_json()}.items() if name != "status"},
    )


def _turned_away(name: str, detail: str, request: GateRequest) -> Problem:
    trace = _trace_of(request)
    members: dict[str, Any] = {**trace}
    return Problem(name, detail, headers={**retry_after(1), **trace}, **members)


def _trace_of(request: GateRequest) -> dict[str, str]:
    """The trace context of ``request``, as headers and as members of a problem document."""
    return {} if request.traceparent is None else {HEADER: request.traceparent}


def _log_refusal(request: GateRequest, ending: Ending, gate: Gate, path: str | None) -> None:
    if request.watch or not logger.isEnabledFor(logging.DEBUG):
        return
    fields = {
        "scope": gate.scope if path is None else path,
        "ending": ending.name.lower(),
        HEADER: request.traceparent,
    }
    logger.debug("gate_refused", extra={"fields": fields})
