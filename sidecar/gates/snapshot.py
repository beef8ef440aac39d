"""The snapshot of a scope, for responses, watches and event streams."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.clock import rfc3339
from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold, Restriction, Trial

from .advice import Advice, advice_of
from .gate import ScopeGate
from .limits import tightest


@dataclass(frozen=True, slots=True)
class ScopeSnapshot:
    """The public state of a scope. `to_json` returns its members."""

    scope: str
    gate: str
    state: str
    effective_state: str
    reason: str | None
    since: str | None
    until: str | None
    held_by: str | None
    admit_per_sec: float | None
    advice: dict[str, str | float | None] | None
    version: int

    def to_json(self) -> dict[str, object]:
        """The members in the documented order."""
        return {name: getattr(self, name) for name in self.__slots__}


def snapshot_of(gate: ScopeGate, path: str | None = None) -> ScopeSnapshot:
    """The snapshot of ``gate``, or of the unknown scope ``path`` that follows it."""
    hold: Hold | Restriction | Trial | None = gate.hold
    held_by = gate.held_by
    word = "open"
    if gate.closed:
        word = "closed"
    elif gate.is_restricted:
        word = "restricted"
        limiting = tightest(gate.limits)
        hold, held_by = limiting.limit, limiting.gate.scope
    until = None if hold is None or isinstance(hold, Restriction) else hold.until
    own = gate.record.state if path is None else WellbeingState.HEALTHY
    return ScopeSnapshot(
        scope=gate.scope if path is None else path,
        gate=word,
        state=own.label,
        effective_state=gate.effective.label,
        reason=hold.reason if hold else None,
        since=rfc3339(hold.since) if hold else None,
        until=None if until is None else rfc3339(until),
        held_by=held_by if hold else None,
        admit_per_sec=gate.admit_per_sec,
        advice=advice_json(advice_of(gate)),
        version=gate.version,
    )


def advice_json(advice: Advice | None) -> dict[str, str | float | None] | None:
    """The member ``advice`` of a snapshot. Only a restriction has a rate."""
    if advice is None:
        return None
    until = None if advice.until is None else rfc3339(advice.until)
    told: dict[str, str | float | None] = {
        "reason": advice.reason,
        "since": rfc3339(advice.since),
        "until": until,
    }
    return told if advice.admit_per_sec is None else {**told, "admit_per_sec": advice.admit_per_sec}
