"""The history: what is told of each intervention, hold and lift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.core.events import CoreEvent, HistoryNoted, HoldLifted, HoldPut, StateChanged
from sidecar.core.scope import lies_within

KINDS = ("intervention", "pause", "hold", "resume", "lift", "engine", "blind")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        id: grows with each entry; 0: not kept yet.
        at: when, seconds since the epoch.
        scope: to whom.
        kind: ``intervention``; ``pause`` and ``resume``; ``hold`` and ``lift`` where another hold stood
            or stands besides, or an operator renewed one; ``engine``: an engine's own switch was turned;
            ``blind``: the watchdog was found silent, or back.
        old: the state or gate before.
        new: the state or gate after.
        source: the signal's source, the operator, or ``time``.
        reason: in the source's words; may be empty.
        cause: of a hold: ``auto`` or ``manual``; of a lift: why; else empty.
        until: when the hold was to end by itself; None: never, or no hold.
        actor: the name of the credential behind it; empty: nobody had to say who they are.
        alertname: of the alert that is the source; empty: none is.
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
    """Which entries are asked for, newest first.

    Attributes:
        scope: of this scope.
        below: and of everything inside it.
        kinds: of these kinds; empty: of all.
        since: not before; None: no bound.
        until: before; None: no bound.
        before_id: older than the entry of this id; None: from the newest on.
        limit: at most so many.
    """

    scope: str = ""
    below: bool = True
    kinds: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    before_id: int | None = None
    limit: int = 100

    def wants(self, entry: Entry) -> bool:
        """Whether ``entry`` is asked for, its place on the page aside."""
        return (
            (lies_within(entry.scope, self.scope) if self.below else entry.scope == self.scope)
            and (not self.kinds or entry.kind in self.kinds)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and (self.before_id is None or entry.id < self.before_id)
        )


def entries_of(events: Iterable[CoreEvent]) -> Iterator[Entry]:
    """The entries that ``events`` make, in their order."""
    for event in events:
        match event:
            case StateChanged():
                yield Entry(
                    0,
                    event.at,
                    event.scope,
                    "intervention",
                    event.old.label,
                    event.new.label,
                    event.source,
                    event.reason,
                    actor=event.actor,
                    alertname=event.alertname,
                )
            case HistoryNoted():
                yield Entry(
                    0,
                    event.at,
                    event.scope,
                    event.kind,
                    event.old,
                    event.new,
                    event.source,
                    event.reason,
                    actor=event.actor,
                )
            case HoldPut(hold=hold):
                yield Entry(
                    0,
                    event.at,
                    event.scope,
                    "pause" if event.paused else "hold",
                    "open" if event.paused else "closed",
                    "closed",
                    hold.by,
                    hold.reason,
                    hold.kind.value,
                    hold.until,
                    event.actor,
                    hold.alertname,
                )
            case HoldLifted():
                yield Entry(
                    0,
                    event.at,
                    event.scope,
                    "resume" if event.resumed else "lift",
                    "closed",
                    "open" if event.resumed else "closed",
                    event.by,
                    event.reason,
                    event.cause.value,
                    actor=event.actor,
                    alertname=event.alertname,
                )
