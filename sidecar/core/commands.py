"""The commands of the core. Each command is applied completely or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .events import CoreEvent, SignalDropped, SignalPut, set_actor
from .frozen import value_class
from .policy import PolicyTable
from .state import WellbeingState
from .values import Hold, Signal


class AlertOutcome(Enum):
    """The result for one alert, named as in ``wellbeing_webhook_alerts_total``."""

    APPLIED = "applied"
    REPEATED = "repeated"
    STALE = "stale"
    IGNORED = "ignored"
    MISDIRECTED = "misdirected"


@value_class(frozen=True, slots=True)
class AlertFired:
    """A firing alert.

    Attributes:
        source: ``alert:<fingerprint>``.
        scope: the scope of its signal.
        state: the state of its signal.
        reason: the reason of its signal.
        starts_at: its ``startsAt``, seconds since the epoch.
        expires_at: when the signal expires, unless the alert is repeated; seconds since the epoch.
        query: the Alertmanager query that lists the alert; empty: no query does.
        alertname: the alert's name; may be empty.
    """

    source: str
    scope: str
    state: WellbeingState
    reason: str
    starts_at: float
    expires_at: float
    query: str = ""
    alertname: str = ""


@value_class(frozen=True, slots=True)
class AlertResolved:
    """A resolved alert.

    Attributes:
        source: ``alert:<fingerprint>``.
        ends_at: its ``endsAt``, seconds since the epoch.
        keep_until: until when its tombstone is kept, seconds since the epoch.
        outcome_if_unknown: the outcome if the alert has no signal. No tombstone is made then, because the
            rules would ignore the firing alert too. None: a tombstone is made.
    """

    source: str
    ends_at: float
    keep_until: float
    outcome_if_unknown: AlertOutcome | None = None


@dataclass(frozen=True, slots=True)
class ReceiveAlerts:
    """The alerts of one notification, applied as one step.

    Attributes:
        alerts: in the order of the notification.
        blind: the watchdog is silent. A resolve ends no signal; its time is stored in the signal.
        sender_scope: the sender may change this scope and the scopes inside it. Alerts whose signal is, or
            would be, in another scope are ignored.
    """

    alerts: tuple[AlertFired | AlertResolved, ...]
    blind: bool = False
    sender_scope: str = ""


@value_class(frozen=True, slots=True)
class AlertMissing:
    """An alert that has a signal and that Alertmanager no longer lists.

    Attributes:
        source: ``alert:<fingerprint>``.
        since: ``since`` of the signal that was compared; a signal with another value is kept.
        expires_at: ``expires_at`` of that signal; a signal that was refreshed in between is kept.
        why: the reason, for the history.
    """

    source: str
    since: float
    expires_at: float | None
    why: str


@dataclass(frozen=True, slots=True)
class ReconcileAlerts:
    """The result of a query to Alertmanager.

    Attributes:
        firing: the firing alerts.
        missing: alerts whose signals end.
        queried_at: when Alertmanager was queried; its answer overrides a resolve that was received before.
    """

    firing: tuple[AlertFired, ...]
    missing: tuple[AlertMissing, ...]
    queried_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AcceptResolves:
    """The watchdog is back: end the signals that were resolved meanwhile and have not fired again."""


@dataclass(frozen=True, slots=True)
class RevertResolves:
    """Restore signals that ended shortly before the watchdog did. They are kept until the watchdog is back.

    Attributes:
        signals: scopes and signals, as they were; ``ended_at`` is the time at which they ended.
        holds: the auto hold of each scope that was paused when the signals ended. Other scopes are not
            paused: their pause had ended before.
    """

    signals: tuple[tuple[str, Signal], ...]
    holds: tuple[tuple[str, Hold], ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimState:
    """An agent's own claim; ``healthy`` withdraws it.

    Attributes:
        scope: the scope of the claim.
        source: ``agent:<name>``.
        state: the claimed state.
        reason: the agent's reason; may be empty.
        ttl_secs: seconds until the claim expires; None: never.
    """

    scope: str
    source: str
    state: WellbeingState
    reason: str = ""
    ttl_secs: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator pauses a scope. ``max_pause_secs``: None takes the policy's value, 0 sets no end."""

    scope: str
    reason: str
    by: str
    max_pause_secs: float | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """An operator resumes a scope: every hold of the scope is lifted, the holds of its ancestors stay."""

    scope: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EndTrial:
    """The outcome of the trial of a scope is known.

    Attributes:
        scope: the scope.
        since: when the trial began; another trial of the scope is not ended.
        failure: what failed: the hold is put back; empty: all requests succeeded, and the gate opens.
    """

    scope: str
    since: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Expire:
    """End the signals and holds in ``scopes`` whose time has run out."""

    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetPolicies:
    """Replace the policies, and settle every scope by the new ones."""

    policies: PolicyTable


@dataclass(frozen=True, slots=True)
class ForgetScopes:
    """Remove the records of all ``scopes`` without signals and holds."""

    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddHistoryNote:
    """Add an entry to the history without changing a scope.

    Attributes:
        scope: the scope of the entry.
        kind: the kind of the entry.
        old: the value before.
        new: the value after.
        source: the name of the part or client that caused it.
        reason: the reason.
    """

    scope: str
    kind: str
    old: str
    new: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class RememberWatchdog:
    """The watchdog alert was received. Its absence now means that alerting is down, even after a restart.

    Attributes:
        alertname: the name of the watchdog alert.
    """

    alertname: str


@dataclass(frozen=True, slots=True)
class ShiftTime:
    """The clock was set back: move all times of this machine's clock by the same amount.

    Attributes:
        secs: how far the clock has moved, in seconds; negative.
    """

    secs: float


Command = (
    ReceiveAlerts
    | ReconcileAlerts
    | AcceptResolves
    | RevertResolves
    | ClaimState
    | Pause
    | Resume
    | EndTrial
    | Expire
    | SetPolicies
    | ForgetScopes
    | AddHistoryNote
    | RememberWatchdog
    | ShiftTime
)


@value_class(frozen=True, slots=True)
class CommandOutcome:
    """The result of a command.

    Attributes:
        events: in the order in which they happened.
        alerts: the outcome of each alert, in the order of the notification.
    """

    events: tuple[CoreEvent, ...] = ()
    alerts: tuple[AlertOutcome, ...] = ()

    def set_actor(self, actor: str) -> None:
        """Set the ``actor`` of the history events, right after the command was decided."""
        for event in self.events:
            if not isinstance(event, SignalPut | SignalDropped):
                set_actor(event, actor)
