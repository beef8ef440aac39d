"""Runs one case of the closed loop, and records its result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .engine.model import Fault
from .environment import put_fault, restart
from .load import Load
from .loop_cases import BUSY_HOLD_SECS, HOLD_SECS, Case, Way

BACKLOG_SECS = 5.0
"""The backlog of a pause is gone when the unanswered requests amount to this many seconds of load or fewer."""
RESTART_SECS = 5.0
"""From a closed gate to the restart of the engine behind it."""


@dataclass(frozen=True)
class Patience:
    """How long each case is watched, and when it counts as settled.

    Attributes:
        hold_secs: the least duration of a cause; may be shorter for a busy engine.
        calm_secs: a gate that stays open for this long has settled. Longer than any rule needs to fire again.
        until_served: whether a case settles only when the backlog of its pauses is served.
        unawaited: the ways whose cases need not settle.
    """

    hold_secs: float = HOLD_SECS
    calm_secs: float = 60.0
    until_served: bool = True
    unawaited: tuple[Way, ...] = ()


PATIENCE = Patience()


@dataclass
class Result:
    """The result of a case, in seconds of real time.

    Attributes:
        closed: the time from the cause until the gate first closed.
        mended: the time from the cause to its end, while the gate was closed.
        pauses: how often the gate closed.
        pauses_after: how often it closed after the cause had ended.
        recovered: the time from the end of the cause until the gate opened for the last time.
        paused: the total time that the gate was closed.
        lost: the number of requests without a correct answer.
        answered: the number of requests with a correct answer.
        ended_by_max_pause: the number of pauses that ended only by max_pause_secs.
        settled: whether the gate opened by itself after the cause had ended and stayed open, and the backlog
        was served.
        goodput: requests answered per second, from the first closed or restricted gate to the end of the
        cause.
        goodput_closed: the same, until the gate opened for the last time, or the end of the run.
        lost_unmended: the number of requests lost because the gate opened before the cause had ended.
    """

    name: str
    kind: str
    cause: str
    way: str
    setting: str
    busy: bool
    closed: float | None = None
    mended: float = 0.0
    pauses: int = 0
    pauses_after: int = 0
    recovered: float | None = None
    paused: float = 0.0
    lost: int = 0
    answered: int = 0
    ended_by_max_pause: int = 0
    settled: bool = False
    goodput: float | None = None
    goodput_closed: float | None = None
    lost_unmended: int | None = None


@dataclass(frozen=True)
class PodsResult:
    """The effect of a bad rule on a group of healthy engines.

    Attributes:
        name: the name of the group.
        pods: the number of engines.
        paused: the number of gates that were closed at the end.
        opened: how often one of the gates opened. The rule never ends: above 0, the measurement failed.
        answered: the share of answered requests, 0 to 1.
    """

    name: str
    pods: int
    paused: int
    opened: int
    answered: float


@dataclass
class Subject:
    """A running case."""

    case: Case
    url: str
    load: Load
    caused_at: float = 0.0
    mended_at: float | None = None
    patience: Patience = PATIENCE
    turns: list[tuple[float, str]] = field(default_factory=list)
    answered_at: list[tuple[float, int]] = field(default_factory=list)
    restarted_at: float | None = None
    lost_before: int | None = None

    @property
    def is_closed(self) -> bool:
        """As of the last look."""
        return bool(self.turns) and self.turns[-1][1] == "pause"

    def was_closed_at(self, when: float) -> bool:
        """As of the last look."""
        kinds = [kind for at, kind in self.turns if at <= when]
        return kinds[-1:] == ["pause"]

    def begin(self) -> None:
        """Start the cause."""
        self.caused_at = self.caused_at or time.time()
        self.mended_at = None
        self._turn(self.case.fault, self.case.caused_per_sec)

    def mend(self) -> None:
        """End the cause."""
        self._turn("none", self.case.usual_per_sec)
        self.mended_at = time.time()
        self.note_answers()

    def take_turn(self, at: float, kind: str) -> None:
        """Record that the gate closed or was restricted (``pause``), or opened (``resume``)."""
        self.note_answers()
        self.turns.append((at, kind))

    def goodput(self, until: float | None) -> float | None:
        """Requests answered per second from the first pause to ``until``, as counted at the next look after
        each.
        """
        later = [(at, answered) for at, answered in self.answered_at if until is not None and at >= until]
        if not later:
            return None
        (began, before), (ended, after) = self.answered_at[0], later[0]
        return (after - before) / (ended - began) if ended > began else None

    def note_answers(self) -> None:
        """Record how many requests were answered so far."""
        self.answered_at.append((time.time(), self.load.statuses[200]))

    def _restart(self) -> None:
        """Restart a stuck engine each time the gate has closed. The first restart does not mend it, the second does."""
        if self.restarted_at is not None and self.lost_before is None and not self.is_closed:
            # Requests lost in that restart do not count. From now on the gate admits requests to a stuck
            # engine.
            self.lost_before = self.load.lost
        if self.mended_at is not None or not self.is_closed or time.time() - self.turns[-1][0] < RESTART_SECS:
            return
        if self.restarted_at is None:
            self.restarted_at = time.time()
            restart(self.url)
        elif self.lost_before is not None:
            self.mend()
            restart(self.url)

    def see_to_it(self) -> None:
        """End the cause when it is time and the gate is closed."""
        if self.case.cause == "restarted":
            self._restart()
        elif self.mended_at is None:
            hold = min(self.patience.hold_secs, BUSY_HOLD_SECS if self.case.busy else HOLD_SECS)
            if self.is_closed and time.time() - self.caused_at > hold:
                self.mend()
        elif not self.was_closed_at(self.mended_at):
            # The gate opened between the last look at it and the end of the cause.
            self.begin()

    def is_settled(self, now: float) -> bool:
        """Whether the cause has ended, the gate has been open for long enough, and the backlog is served."""
        if self.mended_at is None or self.is_closed or not self.was_closed_at(self.mended_at):
            return False
        is_served = self.load.pending <= BACKLOG_SECS * self.case.usual_per_sec
        return (is_served or not self.patience.until_served) and now - self.turns[-1][
            0
        ] > self.patience.calm_secs

    @property
    def recovered_secs(self) -> float | None:
        """The time from the end of the cause until the gate last opened; below 0 if the gate opened first.
        Not rounded.

        The mask ends the alert some seconds after an engine's pause, so the gate may open a moment after the
        end of the cause. Rounding would make both times equal.
        """
        resumes = [when for when, kind in self.turns if kind == "resume"]
        return resumes[-1] - self.mended_at if resumes and self.mended_at is not None else None

    def _turn(self, fault: Fault, per_sec: float) -> None:
        put_fault(self.url, fault)
        self.load.per_sec = per_sec
