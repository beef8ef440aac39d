"""Advice: pauses and restrictions that the policies of a scope and its ancestors advise and do not apply."""

from __future__ import annotations

from typing import NamedTuple

from sidecar.core.values import AdviceCause, Restriction

from .gate import ScopeGate


class Advice(NamedTuple):
    """An advised pause, or an advised restriction.

    Attributes:
        reason: why; never empty.
        since: when it was advised, seconds since the epoch.
        until: when a pause would end; None: never, or it is a restriction, which ends with the state.
        admit_per_sec: requests per second that the restriction would admit; None: it is a pause.
        advised_by: the scope whose policy advises it.
        why: why it is advised only.
        by: the source of the signal.
        alertname: name of the alert that caused it; empty: no alert did.
    """

    reason: str
    since: float
    until: float | None
    admit_per_sec: float | None
    advised_by: str
    why: AdviceCause
    by: str
    alertname: str


def advice_of(gate: ScopeGate) -> Advice | None:
    """The advised pause of ``gate``, else its advised restriction; None: nothing is advised."""
    hold, restriction = gate.advice, gate.advised_restriction
    if hold is not None and hold.advised is not None:
        scope = gate.state.advised_by or ""
        return Advice(hold.reason, hold.since, hold.until, None, scope, hold.advised, hold.by, hold.alertname)
    if restriction is None or not isinstance(restriction.limit, Restriction):
        return None
    scope, limit = restriction.gate.scope, restriction.limit
    # Restrictions are advised only in a dry run.
    why = AdviceCause.DRY_RUN
    return Advice(limit.reason, limit.since, None, limit.rate, scope, why, limit.by, limit.alertname)
