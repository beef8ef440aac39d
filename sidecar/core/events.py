"""Events: what a command changed. Logs, history and counters are derived from these and nothing else.

Events that become history entries have an ``actor``: the name of the credential that sent the command. It is
empty if no credential was needed, or if a timer caused the event. ``alertname`` is the name of the alert if
an alert is the source.
"""

from __future__ import annotations

from .frozen import value_class
from .state import WellbeingState
from .values import Hold, LiftCause, Restriction, Signal, Trial


@value_class(frozen=True, slots=True)
class SignalPut:
    """A signal began, or an existing one changed or was refreshed."""

    scope: str
    at: float
    signal: Signal


@value_class(frozen=True, slots=True)
class SignalDropped:
    """A signal ended: resolved, withdrawn or expired."""

    scope: str
    at: float
    signal: Signal
    expired: bool


@value_class(frozen=True, slots=True)
class StateChanged:
    """A scope's own state changed."""

    scope: str
    at: float
    old: WellbeingState
    new: WellbeingState
    source: str
    reason: str
    actor: str = ""
    alertname: str = ""


@value_class(frozen=True, slots=True)
class HoldPut:
    """A hold was put or renewed. ``paused``: the scope had no hold before, and this one closes the gate."""

    scope: str
    at: float
    hold: Hold
    paused: bool
    actor: str = ""


@value_class(frozen=True, slots=True)
class HoldLifted:
    """A hold ended. ``resumed``: the scope has no hold left, and this one closed the gate."""

    scope: str
    at: float
    hold: Hold
    cause: LiftCause
    reason: str
    by: str
    resumed: bool
    actor: str = ""
    alertname: str = ""


@value_class(frozen=True, slots=True)
class RestrictionChanged:
    """A restriction began, changed its rate, or ended. ``old`` and ``new``: None: there is no restriction."""

    scope: str
    at: float
    old: Restriction | None
    new: Restriction | None
    source: str
    reason: str
    actor: str = ""
    alertname: str = ""


@value_class(frozen=True, slots=True)
class TrialBegan:
    """A recovery was followed by a trial."""

    scope: str
    at: float
    trial: Trial
    actor: str = ""


@value_class(frozen=True, slots=True)
class TrialEnded:
    """A trial ended. ``failed``: the hold is put back; the event `HoldPut` follows."""

    scope: str
    at: float
    trial: Trial
    failed: bool
    reason: str
    source: str
    actor: str = ""


@value_class(frozen=True, slots=True)
class HistoryNoted:
    """Another change that is recorded in the history, for example that an engine was paused."""

    scope: str
    at: float
    kind: str
    old: str
    new: str
    source: str
    reason: str
    actor: str = ""


CoreEvent = (
    HistoryNoted
    | SignalPut
    | SignalDropped
    | StateChanged
    | HoldPut
    | HoldLifted
    | RestrictionChanged
    | TrialBegan
    | TrialEnded
)

HistoryEvent = (
    HistoryNoted | StateChanged | HoldPut | HoldLifted | RestrictionChanged | TrialBegan | TrialEnded
)
"""Events that become entries of the history."""


def set_actor(event: HistoryEvent, actor: str) -> None:
    """Set the actor of ``event``, which was just made, and to which nothing else refers.

    A copy would take twenty times as long.
    """
    object.__setattr__(event, "actor", actor)
