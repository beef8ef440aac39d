"""``/v1/status``: everything that is known about a scope."""

from __future__ import annotations

from typing import Any

from sidecar.clock import rfc3339
from sidecar.core.scope import lies_within
from sidecar.core.values import Hold, Signal, Trial
from sidecar.engines.engine_syncs import EngineSyncs
from sidecar.gates.advice import advice_of
from sidecar.gates.gate import ScopeGate
from sidecar.gates.snapshot import advice_json, snapshot_of
from sidecar.runtime.controller import Controller

from .unwell import CallInLoop, find_unwell, gates_inside, in_slices, nearest_scope


def read_status(
    call_in_loop: CallInLoop,
    controller: Controller,
    engines: EngineSyncs,
    scope: str,
    *,
    visible: str,
    below: bool = False,
) -> dict[str, object]:
    """The status of ``scope``. Call it in a thread.

    It lists the scopes inside that are not well or not open, worst first, at most `MAX_UNWELL`.

    Args:
        call_in_loop: calls a function in the event loop.
        controller: has the scopes.
        engines: has the engines that left the config.
        scope: may be unknown.
        visible: for an unknown scope, only names inside this scope are suggested.
        below: list all known scopes inside it as well.
    """
    status, follows = call_in_loop(lambda: _status_of(controller, scope))
    unwell = find_unwell(call_in_loop, controller.tree, scope)
    status["unwell"] = _statuses(call_in_loop, controller, unwell.worst)
    status["unwell_total"], status["closed_total"] = unwell.total, unwell.closed
    status["engines_left_paused"] = call_in_loop(lambda: _left_paused(engines, scope))
    if follows is not None:
        status["follows"] = follows
        status["nearest"] = nearest_scope(call_in_loop, controller.tree, scope, visible)
    if below:
        status["below"] = _statuses(
            call_in_loop, controller, gates_inside(call_in_loop, controller.tree, scope)
        )
    return status


def _status_of(controller: Controller, scope: str) -> tuple[dict[str, Any], str | None]:
    gate, unnamed = controller.tree.find(scope)
    now = controller.clock.monotonic()
    if unnamed is None:
        status = _status(gate, now)
    else:
        # Requests for an unknown scope are counted at the gate that the scope follows.
        empty = ScopeGate(scope, None, gate.policy, 0)
        status = {**_status(empty, now), **snapshot_of(gate, unnamed).to_json()}
    status["blind"] = controller.counters.blind
    alertname, heard = controller.counters.watchdog
    status["watchdog"] = {"alertname": alertname, "heard": heard} if alertname else None
    status["fleet"] = _fleet(controller)
    return status, None if unnamed is None else gate.scope


def _left_paused(engines: EngineSyncs, scope: str) -> list[dict[str, object]]:
    """The engines that left the config while paused for a gate inside ``scope``, and are still paused."""
    return [
        {
            "engine": one.name,
            "scope": one.scope,
            "url": one.url,
            "since": rfc3339(one.since),
            "error": one.error or None,
            "remedy": one.remedy,
        }
        for one in engines.left_paused
        if lies_within(one.scope, scope)
    ]


def _fleet(controller: Controller) -> dict[str, Any] | None:
    """The fleet as this sidecar knows it; None: its store is not shared."""
    fleet = controller.counters.fleet
    if fleet is None:
        return None
    return {
        "sidecar": fleet.sidecar_id,
        "leader": fleet.leader_id or None,
        "term": fleet.term,
        "store_up": controller.counters.store_up,
        "applied_commit": fleet.applied,
        "known_commit": fleet.known,
        "lag_secs": round(fleet.lag_secs, 3),
        "from_last_known": fleet.last_known,
        "owed_records": fleet.owed,
    }


def _statuses(
    call_in_loop: CallInLoop, controller: Controller, gates: list[ScopeGate]
) -> list[dict[str, Any]]:
    now = controller.clock.monotonic()
    known = controller.tree.gates
    made = in_slices(
        call_in_loop, gates, lambda gate: _status(gate, now) if known.get(gate.scope) is gate else None
    )
    # None: the scope was forgotten meanwhile.
    return [status for status in made if status is not None]


def suppressed_pause(gate: ScopeGate) -> dict[str, Any] | None:
    """Why a scope is not paused although its policy would pause it: its pause of this episode is over.

    Returns:
        ``since``: when the episode began; ``ended_at``: when its pause ended, None if unknown; ``cause``: why
        it ended, None if unknown; ``advised``: the pause was advised only; ``text``: a sentence for people.
        None if no pause is suppressed.
    """
    record = gate.record
    episode = record.episode
    if episode is None or not episode.suppressed or record.auto is not None:
        return None
    ended_at = None if episode.pause_ended_at is None else rfc3339(episode.pause_ended_at)
    when = f"ended at {ended_at}" if ended_at else "is over"
    paused = "not paused by its policy" if gate.closed else "not paused"
    what = "advised pause" if episode.pause_advised else "pause"
    return {
        "since": rfc3339(episode.since),
        "ended_at": ended_at,
        "cause": episode.pause_end_cause.value if episode.pause_end_cause else None,
        "advised": episode.pause_advised,
        "text": f"{record.state.label}, {paused}: its {what} {when} and does not come back in this episode",
    }


def _status(gate: ScopeGate, now: float) -> dict[str, Any]:
    record = gate.record
    return {
        **snapshot_of(gate).to_json(),
        "signals": [_signal(signal) for signal in record.signals.values()],
        "advice": _advice(gate),
        "holds": [_hold(hold, gate) for hold in (record.manual, record.auto) if hold and not hold.advised],
        "trial": _trial(record.trial),
        "suppressed": suppressed_pause(gate),
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


def _trial(trial: Trial | None) -> dict[str, object] | None:
    if trial is None:
        return None
    return {
        "requests": trial.requests,
        "since": rfc3339(trial.since),
        "until": rfc3339(trial.until),
        "reason": trial.reason,
    }


def _hold(hold: Hold, gate: ScopeGate) -> dict[str, object]:
    return {
        "kind": hold.kind.value,
        "cause": hold.cause,
        "reason": hold.reason,
        "since": rfc3339(hold.since),
        "until": None if hold.until is None else rfc3339(hold.until),
        "by": hold.by,
        "alertname": hold.alertname or None,
        "waits_for_operator": hold is gate.record.auto and gate.waits_for_operator,
    }


def _advice(gate: ScopeGate) -> dict[str, object] | None:
    """The advice of the snapshot, with further details."""
    advice = advice_of(gate)
    if advice is None:
        return None
    return {
        **(advice_json(advice) or {}),
        "advised_by": advice.advised_by,
        "why": advice.why.value,
        "by": advice.by,
        "alertname": advice.alertname or None,
    }


def _counters(gate: ScopeGate, now: float) -> dict[str, object]:
    return {
        "interventions_total": gate.interventions,
        "pauses_total": sum(gate.pauses.values()),
        "resumes_total": sum(gate.resumes.values()),
        "advised_pauses_total": gate.advised_pauses,
        "requests_total": gate.requests,
        "requests_blocked": gate.blocked,
        "requests_waited": gate.waited,
        "requests_timed_out": gate.timed_out,
        "requests_abandoned": gate.abandoned,
        "requests_rejected": gate.rejected,
        "requests_succeeded": gate.succeeded,
        "requests_failed": gate.failed,
        "waiters": gate.waiting,
        "current_pause_duration_secs": round(gate.paused_for(now), 3),
    }
