"""``/v1/status``: all there is to know of a scope."""

from __future__ import annotations

from sidecar.clock import rfc3339
from sidecar.core.values import Hold, Signal
from sidecar.gates.gate import Gate
from sidecar.gates.snapshot import snapshot_of
from sidecar.runtime.controller import Controller


def status_of(controller: Controller, scope: str, *, below: bool = False) -> dict[str, object]:
    """The status of ``scope``, and with ``below`` of all known scopes inside it."""
    gate, unnamed = controller.tree.find(scope)
    now = controller.clock.monotonic()
    if unnamed is None:
        status = _status(gate, now)
    else:
        # What a scope that nobody named counts is counted where it follows.
        nothing = Gate(scope, None, gate.policy, 0)
        status = {**_status(nothing, now), **snapshot_of(gate, unnamed).to_json(), "follows": gate.scope}
    status["blind"] = controller.counters.blind
    alertname, heard = controller.counters.watchdog
    status["watchdog"] = {"alertname": alertname, "heard": heard} if alertname else None
    if below:
        gates = sorted(controller.tree.below(scope), key=lambda one: one.scope)
        status["below"] = [_status(one, now) for one in gates if one.scope != scope]
    return status


def _status(gate: Gate, now: float) -> dict[str, object]:
    record = gate.record
    return {
        **snapshot_of(gate).to_json(),
        "signals": [_signal(signal) for signal in record.signals.values()],
        "holds": [_hold(hold) for hold in (record.manual, record.auto) if hold],
        "counters": _counters(gate, now),
    }


def _signal(signal: Signal) -> dict[str, object]:
    return {
        "source": signal.source,
        "alertname": signal.alertname or None,
        "state": signal.state.label,
        "reason": signal.reason,
        "since": rfc3339(signal.since),
        "expires_at": None if signal.expires_at is None else rfc3339(signal.expires_at),
        "ended_at": None if signal.ended_at is None else rfc3339(signal.ended_at),
    }


def _hold(hold: Hold) -> dict[str, object]:
    return {
        "kind": hold.kind.value,
        "reason": hold.reason,
        "since": rfc3339(hold.since),
        "until": None if hold.until is None else rfc3339(hold.until),
        "by": hold.by,
        "alertname": hold.alertname or None,
    }


def _counters(gate: Gate, now: float) -> dict[str, object]:
    return {
        "interventions_total": gate.interventions,
        "pauses_total": sum(gate.pauses.values()),
        "resumes_total": sum(gate.resumes.values()),
        "requests_total": gate.requests,
        "requests_blocked": gate.blocked,
        "requests_waited": gate.waited,
        "requests_timed_out": gate.timed_out,
        "requests_abandoned": gate.abandoned,
        "requests_rejected": gate.rejected,
        "waiters": gate.waiting,
        "current_pause_duration_secs": round(gate.paused_for(now), 3),
    }
