"""The values that gates inherit from the gates above: pure functions of records and states."""

from __future__ import annotations

from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold, ScopeRecord

from .gate import GateState, ScopeGate
from .limits import GateLimit, Limits

Inherited = tuple[WellbeingState, Hold | None, str | None, Hold | None, str | None, Limits, Limits]
"""What scopes inside inherit from a gate: effective state, nearest hold and its scope, nearest advised hold
and its scope, limits, advised restrictions."""

NOTHING_INHERITED: Inherited = (WellbeingState.HEALTHY, None, None, None, None, (), ())


def inherited_from(state: GateState) -> Inherited:
    """What scopes inherit from a gate in ``state``."""
    return (
        state.effective,
        state.nearest_hold,
        state.held_by,
        state.nearest_advice,
        state.advised_by,
        state.limits,
        state.advised_limits,
    )


def derive(record: ScopeRecord, gate: ScopeGate, above: Inherited) -> Inherited:
    """What scopes inherit from ``gate``, whose scope has ``record`` and which inherits ``above``."""
    effective, hold, held_by, advice, advised_by, limits, advised_limits = above
    if record.auto is not None and record.auto.advised is not None:
        advice, advised_by = record.auto, gate.scope
    elif record.auto is not None:
        hold, held_by = record.auto, gate.scope
    if record.manual is not None:
        hold, held_by = record.manual, gate.scope
    if record.restriction is not None or record.trial is not None:
        limits = _limits_of(gate, record) + limits
        if record.restriction is not None and record.restriction.advised:
            advised_limits = (GateLimit(gate, record.restriction), *advised_limits)
    return max(effective, record.state), hold, held_by, advice, advised_by, limits, advised_limits


def _limits_of(gate: ScopeGate, record: ScopeRecord) -> Limits:
    """The limits of the scope itself, without restrictions that are advised only."""
    found = [GateLimit(gate, record.trial)] if record.trial is not None else []
    if record.restriction is not None and not record.restriction.advised:
        found.append(GateLimit(gate, record.restriction))
    return tuple(found)
