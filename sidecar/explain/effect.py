"""The effect that an alert would have on the gate of its scope.

The core decides it in a transaction that is discarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.clock import rfc3339
from sidecar.core.commands import AlertFired, AlertOutcome, AlertResolved, CommandOutcome
from sidecar.core.events import CoreEvent, HoldLifted, HoldPut, RestrictionChanged
from sidecar.core.policy import Policy
from sidecar.core.values import AdviceCause, ScopeRecord

Json = dict[str, object]

_ADVISED = {
    AdviceCause.OBSERVES: "the policy does not pause for this state",
    AdviceCause.DRY_RUN: "the policy has dry_run",
    AdviceCause.MUTED: "its time intervals allow only advice now",
    AdviceCause.PAUSED_SHARE: "as many sibling scopes as max_paused_share allows are paused already",
}


@dataclass(frozen=True, slots=True)
class Affected:
    """The scopes and requests that a pause of a scope would stop now.

    Attributes:
        scopes: known scopes whose gates are open and would close, the scope itself included.
        waiters: requests that wait there now.
        requests_last_minute: gate requests there within the last minute; None: the scope is not known, so
            its requests are counted at an ancestor.
        names: the first of the scopes.
    """

    scopes: int
    waiters: int
    requests_last_minute: int | None
    names: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """The members, for JSON."""
        return {
            "scopes": self.scopes,
            "waiters": self.waiters,
            "requests_last_minute": self.requests_last_minute,
            "names": list(self.names),
        }


def effect_of(
    alert: AlertFired | AlertResolved,
    outcome: CommandOutcome,
    record: ScopeRecord | None,
    policy: Policy,
    scope: str,
) -> Json:
    """The effect of ``alert``.

    Args:
        alert: what was applied.
        outcome: what the core decided.
        record: the record of ``scope`` after the alert.
        policy: the policy of ``scope``.
        scope: the scope of the alert.

    Returns:
        ``effect``: ``pauses``, ``advises``, ``resumes``, ``ends_advice``, ``restricts``,
        ``ends_restriction`` or ``nothing``; ``why``: one word;
        ``text``: a sentence; ``until``: when the pause or the advice would end, None: not by itself.
    """
    events = [event for event in outcome.events if _is_in(event, scope)]
    changed = _changed_gate(events) or _changed_rate(events)
    if changed is not None:
        return changed
    why, text = _why_nothing(alert, outcome.alerts[0], record, policy)
    return nothing(why, text)


def nothing(why: str, text: str) -> Json:
    """No effect on a gate, and why."""
    return {"effect": "nothing", "why": why, "text": text, "until": None}


def _is_in(event: CoreEvent, scope: str) -> bool:
    return event.scope == scope


def _changed_gate(events: Iterable[CoreEvent]) -> Json | None:
    for event in reversed(list(events)):
        match event:
            case HoldPut(hold=hold) if hold.advised is not None:
                text = f"a pause would be advised, and the gate would not change: {_ADVISED[hold.advised]}"
                return _result("advises", hold.advised.value, text, hold.until)
            case HoldPut(hold=hold) if event.paused:
                return _result("pauses", "threshold", f"the gate would close: {hold.reason}", hold.until)
            case HoldPut(hold=hold):
                text = "an operator's hold already keeps the gate closed; the policy would add its own"
                return _result("nothing", "already_paused", text, hold.until)
            case HoldLifted() if event.resumed:
                return _result("resumes", event.cause.value, "the gate would open", None)
            case HoldLifted() if event.hold.advised is not None:
                return _result("ends_advice", event.cause.value, "the advised pause would end", None)
            case HoldLifted():
                text = "the policy's hold would be lifted; an operator's hold keeps the gate closed"
                return _result("nothing", "already_paused", text, None)
            case _:
                pass
    return None


def _changed_rate(events: Iterable[CoreEvent]) -> Json | None:
    for event in events:
        if isinstance(event, RestrictionChanged):
            new = event.new
            if new is None:
                return _result("ends_restriction", "recovered", "the restriction would end", None)
            what = f"{new.rate:g} requests a second"
            if new.advised:
                return _result("advises", "dry_run", f"a restriction to {what} would be advised only", None)
            return _result("restricts", "restrict", f"the gate would admit {what}: {new.reason}", None)
    return None


def _result(effect: str, why: str, text: str, until: float | None) -> Json:
    return {
        "effect": effect,
        "why": why,
        "text": text,
        "until": None if until is None else rfc3339(until),
    }


def _why_nothing(
    alert: AlertFired | AlertResolved, outcome: AlertOutcome, record: ScopeRecord | None, policy: Policy
) -> tuple[str, str]:
    if outcome is AlertOutcome.STALE:
        return "stale", "a newer notification of this alert was already received"
    if isinstance(alert, AlertResolved):
        if outcome is AlertOutcome.APPLIED and record is not None and record.auto is not None:
            return _why_it_stays(record, policy)
        if outcome is AlertOutcome.APPLIED:
            return "no_hold", "the alert's signal would end; no gate is closed by the policy of its scope"
        return "unknown", "no signal of this alert is known, so there is nothing to end"
    if not policy.enabled:
        return "disabled", "the policy of the scope is not enabled, so signals are ignored"
    threshold = policy.threshold
    if threshold is not None and (record is None or record.state < threshold):
        text = (
            f"the own state would be {record.state.label if record else 'healthy'}, and the policy acts from"
        )
        return "below_threshold", f"{text} {threshold.label} on"
    if record is not None and record.hold is not None:
        return "already_paused", f"the gate is already closed: {record.hold.reason}"
    if record is not None and record.advice is not None:
        return "already_advised", f"a pause is already advised: {record.advice.reason}"
    return "spent", (
        "the pause of this episode is over, and this alert does not start another: "
        "it is already known, or not bad enough"
    )


def _why_it_stays(record: ScopeRecord, policy: Policy) -> tuple[str, str]:
    what = "pause" if record.auto is None or record.auto.advised is None else "advised pause"
    if policy.threshold is not None and record.state >= policy.threshold:
        return "still_unwell", f"the {what} would stay: other signals keep the own state {record.state.label}"
    if policy.resume == "manual":
        return "waits_for_operator", f"the {what} would stay: the policy says resume: manual"
    return "min_pause", f"the {what} would stay until min_pause_secs have passed"
