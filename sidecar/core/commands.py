"""What may be asked of the core. Each command is decided whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from .events import CoreEvent, SignalDropped, SignalPut
from .policy import PolicyTable
from .state import WellbeingState
from .values import Hold, Signal


class AlertOutcome(Enum):
    """What became of one alert, named as in ``wellbeing_webhook_alerts_total``."""

    APPLIED = "applied"
    REPEATED = "repeated"
    STALE = "stale"
    IGNORED = "ignored"
    MISDIRECTED = "misdirected"


@dataclass(frozen=True, slots=True)
class AlertFired:
    """An alert of a notification that fires.

    Attributes:
        source: ``alert:<fingerprint>``.
        scope: whom it concerns.
        state: what it claims.
        reason: why.
        starts_at: its ``startsAt``, seconds since the epoch.
        expires_at: when the claim ends by itself, unless it is repeated.
        asked: by which question Alertmanager would tell of it; empty: by none.
        alertname: the alert's name; may be empty.
    """

    source: str
    scope: str
    state: WellbeingState
    reason: str
    starts_at: float
    expires_at: float
    asked: str = ""
    alertname: str = ""


@dataclass(frozen=True, slots=True)
class AlertResolved:
    """An alert of a notification that has ended.

    Attributes:
        source: ``alert:<fingerprint>``.
        ends_at: its ``endsAt``, seconds since the epoch.
        keep_until: how long older notifications of it are to be recognised.
        if_unknown: its outcome where no signal of it stands: then it leaves no tombstone, for the rules
            would not let it fire either. None: it leaves one.
    """

    source: str
    ends_at: float
    keep_until: float
    if_unknown: AlertOutcome | None = None


@dataclass(frozen=True, slots=True)
class ReceiveAlerts:
    """The alerts of one notification, as one step.

    Attributes:
        alerts: in its order.
        blind: nobody watches the watchers: a resolve lifts nothing, it is kept in mind.
        within: whoever tells of them may speak of this scope and those inside it alone; alerts that stand, or
            would stand, elsewhere are ignored.
    """

    alerts: tuple[AlertFired | AlertResolved, ...]
    blind: bool = False
    within: str = ""


@dataclass(frozen=True, slots=True)
class AlertMissing:
    """An alert's signal that Alertmanager knows nothing of any more.

    Attributes:
        source: ``alert:<fingerprint>``.
        since: of the signal that was looked for; another one stays.
        expires_at: likewise: one that was repeated meanwhile stays.
        why: for the history.
    """

    source: str
    since: float
    expires_at: float | None
    why: str


@dataclass(frozen=True, slots=True)
class ReconcileAlerts:
    """What Alertmanager says when it is asked.

    Attributes:
        firing: alerts that fire.
        missing: signals that end.
        asked_at: when it was asked: it knows better than a resolve that was heard before.
    """

    firing: tuple[AlertFired, ...]
    missing: tuple[AlertMissing, ...]
    asked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AcceptResolves:
    """Sight has come back: what was resolved meanwhile, and has not fired again, is over."""


@dataclass(frozen=True, slots=True)
class RevertResolves:
    """The signals ended shortly before the watchdog: they stand until the watchdog is back.

    Attributes:
        signals: with their scopes, as they stood; ``ended_at`` says when they ended.
        holds: the auto hold of each scope that was paused when they ended. Other scopes are not paused: their
            pause was over already.
    """

    signals: tuple[tuple[str, Signal], ...]
    holds: tuple[tuple[str, Hold], ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimState:
    """An agent's own claim; ``healthy`` withdraws it.

    Attributes:
        scope: whom it concerns.
        source: ``agent:<name>``.
        state: what it claims.
        reason: why; may be empty.
        ttl_secs: seconds until it ends by itself; None: never.
    """

    scope: str
    source: str
    state: WellbeingState
    reason: str = ""
    ttl_secs: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator's pause; ``max_pause_secs`` None: the policy's, 0: no end."""

    scope: str
    reason: str
    by: str
    max_pause_secs: float | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """An operator's resume: lifts every hold of the scope, not its ancestors'."""

    scope: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Expire:
    """Time has passed: end what is due in ``scopes``."""

    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetPolicies:
    """The config has new policies; every scope is settled by them."""

    policies: PolicyTable


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing would be missed of ``scopes``: they are no longer known."""

    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddHistoryNote:
    """Tell the history of something that is no change of scopes.

    Attributes:
        scope: whom it concerns.
        kind: the entry's.
        old: from.
        new: to.
        source: who did it.
        reason: why.
    """

    scope: str
    kind: str
    old: str
    new: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class RememberWatchdog:
    """The watchdog was heard of: from now on its silence says that alerting is down, after a restart too.

    Attributes:
        alertname: of the watchdog's alert.
    """

    alertname: str


@dataclass(frozen=True, slots=True)
class ShiftTime:
    """The clock was set back: what was to come comes by as much earlier.

    Attributes:
        secs: how far the clock has moved; negative.
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
    | Expire
    | SetPolicies
    | Forget
    | AddHistoryNote
    | RememberWatchdog
    | ShiftTime
)


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What a command did.

    Attributes:
        events: in the order they happened.
        alerts: for each alert of a notification what became of it, in the notification's order.
    """

    events: tuple[CoreEvent, ...] = ()
    alerts: tuple[AlertOutcome, ...] = ()

    def by(self, actor: str) -> CommandOutcome:
        """The same, done by ``actor``."""
        events = tuple(
            event if isinstance(event, SignalPut | SignalDropped) else replace(event, actor=actor)
            for event in self.events
        )
        return CommandOutcome(events, self.alerts)
