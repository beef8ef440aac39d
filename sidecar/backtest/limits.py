"""Restrictions and trials that a simulation recorded, and their sums per scope."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sidecar.core.events import CoreEvent, HoldPut, RestrictionChanged, TrialBegan, TrialEnded
from sidecar.core.values import AdviceCause

from .recorder import RecordedPause

GUARDED = (AdviceCause.PAUSED_SHARE, AdviceCause.MUTED)
"""Why a policy that pauses only advised a pause."""


@dataclass(frozen=True, slots=True)
class RecordedLimit:
    """One restriction at one rate, or one trial.

    Attributes:
        scope: the scope.
        began: seconds since the epoch.
        ended: seconds since the epoch; None: not ended within the range.
        rate: requests per second that were admitted; None: it was a trial.
        reason: the reason that a request would have been given.
    """

    scope: str
    began: float
    ended: float | None
    rate: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class LimitSummary:
    """The restrictions and trials of one scope within the range.

    Attributes:
        scope: the scope.
        restrictions: how often it was restricted; a change of the rate does not count.
        restricted_secs: seconds that it was restricted and not paused.
        lowest_rate: requests per second; None: it was not restricted.
        trials: number of trials.
        trial_secs: seconds that it was on trial.
    """

    scope: str
    restrictions: int
    restricted_secs: float
    lowest_rate: float | None
    trials: int
    trial_secs: float


class LimitRecorder:
    """Collects restrictions and trials, in order of time.

    Attributes:
        guarded: scope and cause of each pause that a guard turned into advice, with its time.
    """

    def __init__(self) -> None:
        self.guarded: list[tuple[float, str, AdviceCause]] = []
        self._open: dict[tuple[str, bool], RecordedLimit] = {}
        self._ended: list[RecordedLimit] = []

    @property
    def limits(self) -> list[RecordedLimit]:
        """The recorded limits, in order of their beginning."""
        return sorted([*self._ended, *self._open.values()], key=lambda one: (one.began, one.scope))

    def record(self, event: CoreEvent) -> None:
        """Record one event."""
        match event:
            case RestrictionChanged(scope=scope, at=at, new=new):
                self._end(scope, at, trial=False)
                if new is not None and not new.advised:
                    self._open[scope, False] = RecordedLimit(scope, at, None, new.rate, new.reason)
            case TrialBegan(scope=scope, at=at, trial=trial):
                self._open[scope, True] = RecordedLimit(scope, at, None, None, trial.reason)
            case TrialEnded(scope=scope, at=at):
                self._end(scope, at, trial=True)
            case HoldPut(scope=scope, at=at, hold=hold) if hold.advised in GUARDED:
                self.guarded.append((at, scope, hold.advised))
            case _:
                pass

    def _end(self, scope: str, at: float, *, trial: bool) -> None:
        limit = self._open.pop((scope, trial), None)
        if limit is not None:
            self._ended.append(replace(limit, ended=at))


def limits_within(limits: Iterable[RecordedLimit], start: float, end: float) -> list[RecordedLimit]:
    """The limits that lie in the range."""
    return [one for one in limits if one.began < end and (one.ended is None or one.ended > start)]


def summarize_limits(
    limits: Sequence[RecordedLimit], pauses: Sequence[RecordedPause], start: float, end: float
) -> list[LimitSummary]:
    """A summary of each scope that was restricted or on trial, in order of their names."""
    summaries = []
    for scope in sorted({one.scope for one in limits}):
        own = [one for one in limits if one.scope == scope]
        restrictions = [one for one in own if one.rate is not None]
        trials = [one for one in own if one.rate is None]
        before = [one.ended for one in restrictions]
        paused = [one for one in pauses if one.scope == scope]
        summaries.append(
            LimitSummary(
                scope,
                sum(one.began not in before for one in restrictions),
                sum(_secs(one, start, end) - _paused_secs(one, paused, start, end) for one in restrictions),
                min((one.rate for one in restrictions if one.rate is not None), default=None),
                len(trials),
                sum(_secs(one, start, end) for one in trials),
            )
        )
    return summaries


def guard_notes(guarded: Iterable[tuple[float, str, AdviceCause]], start: float, end: float) -> list[str]:
    """A note for each guard that turned pauses into advice."""
    found: dict[AdviceCause, int] = {}
    for at, _, cause in guarded:
        if start <= at < end:
            found[cause] = found.get(cause, 0) + 1
    guards = {
        AdviceCause.PAUSED_SHARE: "max_paused_share",
        AdviceCause.MUTED: "mute_time_intervals or active_time_intervals",
    }
    return [
        f"{count} {'pause was' if count == 1 else 'pauses were'} advised only, because of {guards[cause]}"
        for cause, count in found.items()
    ]


def _secs(one: RecordedLimit | RecordedPause, start: float, end: float) -> float:
    return max(0.0, min(end, end if one.ended is None else one.ended) - max(start, one.began))


def _paused_secs(limit: RecordedLimit, pauses: Iterable[RecordedPause], start: float, end: float) -> float:
    first, last = max(start, limit.began), min(end, end if limit.ended is None else limit.ended)
    return sum(_secs(pause, first, last) for pause in pauses)
