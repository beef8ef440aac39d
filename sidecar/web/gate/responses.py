"""Responses to gate and watch requests, for both the fast path and the ASGI path."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from sidecar.core.values import Trial
from sidecar.gates.etag import etag_of
from sidecar.gates.gate import Ending, ScopeGate
from sidecar.gates.priorities import DEFAULT_PRIORITY
from sidecar.gates.snapshot import snapshot_of
from sidecar.trace_context import HEADER
from sidecar.web.problems import TITLES, Problem
from sidecar.web.responses import HttpResponse, problem_response
from sidecar.web.retry_after import retry_after, spread

from .requests import GateRequest

logger = logging.getLogger(__name__)

REASON_HEADER = "Wellbeing-Reason"
"""A header of a refusal: the reason of the pause, escaped as in a JSON string, in ASCII."""

RAMP_HEADER = "Wellbeing-Ramp-Per-Sec"
"""A header of an open gate's snapshot: requests that wait in a client pass at this total rate."""

_MAX_HEADER_REASON = 300
"""In characters. A header can be longer, but proxies limit the total size of the headers."""
_PAUSED_STATUS = TITLES["inference-paused"][0]
_RETRY_AFTER_CAP_SECS = 10.0
"""The longest time before it is randomized, because a pause may end earlier than expected."""
_QUEUE_CAP_SECS = 300.0
"""The same at a restricted gate, where a request that is retried too early only queues again."""


def snapshot_response(gate: ScopeGate, path: str | None = None) -> HttpResponse:
    """200 with the snapshot of ``gate``, or of the unnamed ``path`` that follows it."""
    snapshot = snapshot_of(gate, path)
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("ETag", etag_of(gate, snapshot)),
    ]
    if not gate.blocks and gate.policy.resume_ramp_per_sec:
        headers.append((RAMP_HEADER, f"{gate.policy.resume_ramp_per_sec:g}"))
    return HttpResponse(200, tuple(headers), json.dumps(snapshot.to_json()).encode())


def not_modified_response(gate: ScopeGate, path: str | None) -> HttpResponse:
    """304: the client already has this snapshot."""
    etag = etag_of(gate, snapshot_of(gate, path))
    return HttpResponse(304, (("Cache-Control", "no-store"), ("ETag", etag)), b"")


def ended_response(
    request: GateRequest, ending: Ending, gate: ScopeGate, path: str | None, now: float
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
        secs = _secs_until_turn(gate, request.priority) if gate.is_restricted else 1.0
        return _turned_away("too-many-waiters", detail, request, gate, secs)
    if ending is Ending.TOO_MANY_WATCHERS:
        detail = "too many watches are open (limits.max_watchers): try again later"
        return problem_response(Problem("too-many-watchers", detail, headers=retry_after(1)))
    if ending is Ending.SHUTTING_DOWN:
        detail = "the sidecar is shutting down: try again later"
        return _turned_away("shutting-down", detail, request, gate)
    if request.watch:
        return not_modified_response(gate, path)
    return _paused_response(gate, path, now, request)


def ready_response(gate: ScopeGate, path: str | None, now: float) -> HttpResponse:
    """Whether ``gate`` lets requests through now: 200 with the snapshot, or 503 with the reason.

    Args:
        gate: the nearest known gate.
        path: the requested scope if it is unknown; None: it is the gate's scope.
        now: wall time in seconds.
    """
    if not gate.closed:
        return snapshot_response(gate, path)
    return _paused_response(gate, path, now)


def _turned_away(
    name: str, detail: str, request: GateRequest, gate: ScopeGate, secs: float = 1.0
) -> HttpResponse:
    status = TITLES[name][0] if request.watch else request.denial_status(gate.policy)
    trace = _trace_of(request)
    members: dict[str, Any] = {**trace}
    headers = {**retry_after(secs), **trace, **_challenge(status)}
    return problem_response(Problem(name, detail, status=status, headers=headers, **members))


def _paused_response(
    gate: ScopeGate, path: str | None, now: float, request: GateRequest | None = None
) -> HttpResponse:
    """A refusal with the reason; ``request``: the request whose wait timed out, if any."""
    waited, status, trace, priority = "", _PAUSED_STATUS, {}, DEFAULT_PRIORITY
    if request is not None:
        waited = f" (timeout after {request.wait_secs(gate.policy.wait_timeout_secs):g}s)"
        status = request.denial_status(gate.policy)
        trace = _trace_of(request)
        priority = request.priority
    snapshot = snapshot_of(gate, path)
    secs_until_next = spread(_secs_until_retry(gate, priority, now))
    headers = {
        "Retry-After": str(secs_until_next),
        "ETag": etag_of(gate, snapshot),
        REASON_HEADER: json.dumps((snapshot.reason or "")[:_MAX_HEADER_REASON])[1:-1],
        **trace,
        **_challenge(status),
    }
    members: dict[str, Any] = {**trace, **snapshot.to_json()}
    members.pop("status", None)
    problem = Problem(
        "inference-paused",
        f"inference paused due to wellbeing intervention: {snapshot.reason}{waited}",
        status=status,
        headers=headers,
        retry_after=secs_until_next,
        **members,
    )
    return problem_response(problem)


def _secs_until_retry(gate: ScopeGate, priority: int, now: float) -> float:
    """The shortest useful time before a retry at ``gate``, which is not open, by wall time ``now``."""
    if gate.closed or gate.limiting is None:
        hold = gate.hold
        return _RETRY_AFTER_CAP_SECS if hold is None else _secs_until(hold.until, now)
    trials = [_secs_until(one.limit.until, now) for one in gate.limits if isinstance(one.limit, Trial)]
    return max([_secs_until_turn(gate, priority), *trials])


def _secs_until_turn(gate: ScopeGate, priority: int) -> float:
    limiter = gate.limiting
    return 0.0 if limiter is None else min(limiter.secs_until_turn(priority), _QUEUE_CAP_SECS)


def _secs_until(until: float | None, now: float) -> float:
    left = _RETRY_AFTER_CAP_SECS if until is None else until - now
    return min(left, _RETRY_AFTER_CAP_SECS)


def _challenge(status: int) -> dict[str, str]:
    """The header that a response with ``status`` must have (RFC 9110, section 15.5.2)."""
    return {"WWW-Authenticate": 'Wellbeing realm="inference"'} if status == HTTPStatus.UNAUTHORIZED else {}


def _trace_of(request: GateRequest) -> dict[str, str]:
    """The trace context of ``request``, as headers and as members of a problem document."""
    return {} if request.traceparent is None else {HEADER: request.traceparent}


def _log_refusal(request: GateRequest, ending: Ending, gate: ScopeGate, path: str | None) -> None:
    if request.watch or not logger.isEnabledFor(logging.DEBUG):
        return
    fields = {
        "scope": gate.scope if path is None else path,
        "ending": ending.name.lower(),
        HEADER: request.traceparent,
    }
    logger.debug("gate_refused", extra={"fields": fields})
