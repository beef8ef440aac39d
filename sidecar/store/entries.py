"""The history: entries of interventions, holds and lifts, and queries for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.core.events import (
    CoreEvent,
    HistoryNoted,
    HoldLifted,
    HoldPut,
    RestrictionChanged,
    StateChanged,
    TrialBegan,
    TrialEnded,
)
from sidecar.core.frozen import value_class
from sidecar.core.scope import lies_within
from sidecar.core.values import Restriction, Trial

KINDS = (
    "intervention", "pause", "hold", "resume", "lift", "advice", "advice_ended", "restriction", "trial",
    "engine", "blind", "store",
)  # fmt: skip
_NO_ADVICE, _ADVISED = "none", "advised"


@value_class(frozen=True, slots=True)
class HistoryEntry:
    """One event in the history.

    Attributes:
        id: increases with each entry; 0: not stored yet.
        at: time of the event, seconds since the epoch.
        scope: the scope.
        kind: ``intervention``; ``pause`` and ``resume``; ``hold`` and ``lift`` if the scope has another hold,
            or an operator renewed a hold; ``advice`` and ``advice_ended``: a hold that is advised only, which
            closes no gate; ``restriction``: the gate admits another number of requests per second; ``trial``:
            a trial began or ended; ``engine``: an engine was paused or resumed by its API; ``blind``:
            the watchdog became silent, or is back; ``store``: commits failed, or succeed again.
        old: the state or gate before; of advice ``none`` or ``advised``.
        new: the same, after.
        source: the source of the signal, the operator, or ``time``.
        reason: text of the source; may be empty.
        cause: of a hold: ``auto``, ``manual`` or ``trial_failed``; of a lift: its cause; else empty.
        until: when the hold was due to end; None: never, or no hold.
        actor: name of the credential that caused it; empty: no credential was needed.
        alertname: name of the alert that is the source; empty: no alert is.
    """

    id: int
    at: float
    scope: str
    kind: str
    old: str
    new: str
    source: str
    reason: str
    cause: str = ""
    until: float | None = None
    actor: str = ""
    alertname: str = ""


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Selects history entries, newest first.

    Attributes:
        scope: entries of this scope.
        below: include entries of all scopes inside it.
        kinds: entries of these kinds; empty: all kinds.
        since: entries at or after this time; None: no bound.
        until: entries before this time; None: no bound.
        before_id: entries older than the entry with this id; None: start with the newest.
        limit: the maximum number of entries.
    """

    scope: str = ""
    below: bool = True
    kinds: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    before_id: int | None = None
    limit: int = 100

    def matches(self, entry: HistoryEntry) -> bool:
        """Whether ``entry`` meets all conditions except ``limit``."""
        return (
            (lies_within(entry.scope, self.scope) if self.below else entry.scope == self.scope)
            and (not self.kinds or entry.kind in self.kinds)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and (self.before_id is None or entry.id < self.before_id)
        )


def entries_of(events: Iterable[CoreEvent]) -> Iterator[HistoryEntry]:
    """The history entries of ``events``, in their order."""
    for event in events:
        match event:
            case StateChanged():
                yield _entry(event, "intervention", event.old.label, event.new.label, event.alertname)
            case HistoryNoted():
                yield _entry(event, event.kind, event.old, event.new)
            case HoldPut(hold=hold):
                yield HistoryEntry(
                    0, event.at, event.scope, *_put_words(event), hold.by, hold.reason, hold.cause,
                    hold.until, event.actor, hold.alertname,
                )  # fmt: skip
            case HoldLifted():
                yield HistoryEntry(
                    0, event.at, event.scope, *_lift_words(event), event.by, event.reason, event.cause.value,
                    actor=event.actor, alertname=event.alertname,
                )  # fmt: skip
            case RestrictionChanged():
                yield _entry(event, "restriction", _rate(event.old), _rate(event.new), event.alertname)
            case TrialBegan(trial=trial):
                yield HistoryEntry(
                    0, event.at, event.scope, "trial", "closed", "trial", trial.hold.by, _trial_text(trial),
                    until=trial.until, actor=event.actor, alertname=trial.hold.alertname,
                )  # fmt: skip
            case TrialEnded():
                yield _entry(event, "trial", "trial", "closed" if event.failed else "open")


def _entry(
    event: StateChanged | HistoryNoted | RestrictionChanged | TrialEnded,
    kind: str,
    old: str,
    new: str,
    alertname: str = "",
) -> HistoryEntry:
    """The entry of an event that has its own source and reason."""
    return HistoryEntry(
        0, event.at, event.scope, kind, old, new, event.source, event.reason,
        actor=event.actor, alertname=alertname,
    )  # fmt: skip


def _trial_text(trial: Trial) -> str:
    return f"{trial.requests} requests within {trial.until - trial.since:g} s"


def _rate(restriction: Restriction | None) -> str:
    if restriction is None:
        return "unrestricted"
    return f"{restriction.rate:g} per second" + (" (advised)" if restriction.advised else "")


def _put_words(event: HoldPut) -> tuple[str, str, str]:
    """The kind of the entry, and the gate or the advice before and after."""
    if event.hold.advised:
        return "advice", _NO_ADVICE, _ADVISED
    return ("pause", "open", "closed") if event.paused else ("hold", "closed", "closed")


def _lift_words(event: HoldLifted) -> tuple[str, str, str]:
    if event.hold.advised:
        return "advice_ended", _ADVISED, _NO_ADVICE
    return ("resume", "closed", "open") if event.resumed else ("lift", "closed", "closed")
