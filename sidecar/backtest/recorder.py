"""Records pauses and changes of state from the core's events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sidecar.core.events import CoreEvent, HoldLifted, HoldPut, StateChanged
from sidecar.core.state import WellbeingState


@dataclass(frozen=True, slots=True)
class RecordedPause:
    """One pause of a scope.

    Attributes:
        scope: the scope.
        began: seconds since the epoch.
        ended: seconds since the epoch; None: not ended within the range.
        cause: why it ended, as in ``wellbeing_resumes_total``; empty: it has not ended.
        source: the signal that caused it: ``alert:<fingerprint>``, or ``agent:…`` of the watchdog.
        reason: the reason that a refused request would have got.
    """

    scope: str
    began: float
    ended: float | None
    cause: str
    source: str
    reason: str


class Recorder:
    """Collects pauses and changes of state, in order of time.

    Attributes:
        pauses: all pauses.
        states: the changes of the own state by scope: time and new state.
    """

    def __init__(self) -> None:
        self.states: dict[str, list[tuple[float, WellbeingState]]] = {}
        self._open: dict[str, RecordedPause] = {}
        self._ended: list[RecordedPause] = []

    @property
    def pauses(self) -> list[RecordedPause]:
        """The pauses, sorted by beginning."""
        return sorted([*self._ended, *self._open.values()], key=lambda pause: (pause.began, pause.scope))

    def record(self, events: Iterable[CoreEvent]) -> None:
        """Record the events of one command."""
        for event in events:
            match event:
                case HoldPut() if event.paused:
                    hold = event.hold
                    self._open[event.scope] = RecordedPause(
                        event.scope, event.at, None, "", hold.by, hold.reason
                    )
                case HoldLifted() if event.resumed:
                    pause = self._open.pop(event.scope)
                    self._ended.append(replace(pause, ended=event.at, cause=event.cause.value))
                case StateChanged():
                    self.states.setdefault(event.scope, []).append((event.at, event.new))
                case _:
                    pass
