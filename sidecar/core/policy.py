"""Policies: whether and how the signals of a scope pause it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from .errors import InvalidPolicy
from .state import WellbeingState
from .values import AdviceCause

DENY_STATUSES = (401, 403, 429, 503)
"""The statuses that a refusal at a closed gate may have."""


class RecurringTime(Protocol):
    """A recurring time, as the config describes it."""

    def contains(self, at: float) -> bool:
        """Whether ``at``, seconds since the epoch, lies in the interval."""


@dataclass(frozen=True, slots=True)
class TrialPolicy:
    """The trial after a recovery.

    Attributes:
        requests: how many requests are admitted; 0: there is no trial.
        secs: seconds without a failure after which the gate opens. After a first failure, the next trial
            begins this many seconds later.
    """

    requests: int = 0
    secs: float = 30.0

    def __post_init__(self) -> None:
        if isinstance(self.requests, bool) or not isinstance(self.requests, int) or self.requests < 0:
            raise InvalidPolicy(
                "resume_trial.requests", f"must be a whole number of at least 0, got {self.requests!r}"
            )
        if not 0 < self.secs < float("inf"):
            raise InvalidPolicy("resume_trial.secs", f"must be a number above 0, got {self.secs!r}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The pause settings of one scope. The defaults never pause: they advise when distressed.

    Attributes:
        enabled: if false, signals are ignored and the gate is open, even if there are holds.
        dry_run: auto holds are advised only.
        pause_on_distressed: put an auto hold if the own state is distressed.
        pause_on_concerned: put an auto hold if the own state is concerned or distressed.
        max_pause_secs: seconds after which a hold ends; 0: never.
        wait_timeout_secs: default and maximum of the seconds that a gate request waits.
        min_pause_secs: minimum duration of an auto hold in seconds; 0: it ends on recovery.
        resume_ramp_per_sec: parked waiters admitted per second after a resume; 0: all at once.
        restrict: requests per second that are admitted at an own state, if nothing closes the gate. A state
            without a rate has the rate of the next better state; healthy has none.
        resume_trial: the trial after a recovery.
        deny_status: the HTTP status of a refusal at a closed gate, one of `DENY_STATUSES`.
        max_paused_share: maximum share of the scopes directly inside that auto holds pause at a time (rounded
            up, at least one); 0: no maximum.
        resume: ``auto``, or ``manual``: a recovery lifts no auto hold.
        mute_time_intervals: auto holds are advised only in these.
        active_time_intervals: auto holds are advised only outside of these, if there are any.
    """

    enabled: bool = True
    dry_run: bool = False
    pause_on_distressed: bool = False
    pause_on_concerned: bool = False
    max_pause_secs: float = 300.0
    wait_timeout_secs: float = 60.0
    min_pause_secs: float = 0.0
    resume_ramp_per_sec: float = 0.0
    restrict: tuple[tuple[WellbeingState, float], ...] = ()
    resume_trial: TrialPolicy = TrialPolicy()
    deny_status: int = 503
    max_paused_share: float = 0.0
    resume: str = "auto"
    mute_time_intervals: tuple[RecurringTime, ...] = ()
    active_time_intervals: tuple[RecurringTime, ...] = ()

    def __post_init__(self) -> None:
        for key in ("max_pause_secs", "wait_timeout_secs", "min_pause_secs", "resume_ramp_per_sec"):
            value = getattr(self, key)
            if not 0 <= value < float("inf"):
                raise InvalidPolicy(key, f"must be a number of at least 0, got {value!r}")
        _check_rates(self.restrict)
        if self.deny_status not in DENY_STATUSES:
            allowed = ", ".join(map(str, DENY_STATUSES))
            raise InvalidPolicy("deny_status", f"must be one of {allowed}, got {self.deny_status!r}")
        if not 0 <= self.max_paused_share <= 1:
            raise InvalidPolicy(
                "max_paused_share", f"must be a number from 0 to 1, got {self.max_paused_share!r}"
            )
        if self.resume not in ("auto", "manual"):
            raise InvalidPolicy("resume", f"must be auto or manual, got {self.resume!r}")
        if 0 < self.max_pause_secs < self.min_pause_secs:
            raise InvalidPolicy(
                "min_pause_secs",
                f"must not be above max_pause_secs ({self.max_pause_secs:g}), got {self.min_pause_secs:g}",
            )

    @property
    def threshold(self) -> WellbeingState | None:
        """The lowest own state for which a hold is put, including advised ones; None: no state."""
        if not self.enabled:
            return None
        return WellbeingState.CONCERNED if self.pause_on_concerned else WellbeingState.DISTRESSED

    @property
    def advises(self) -> AdviceCause | None:
        """Why auto holds are advised only; None: they close the gate, or the policy is not enabled."""
        if not self.enabled:
            return None
        if self.dry_run:
            return AdviceCause.DRY_RUN
        return None if self.pause_on_distressed or self.pause_on_concerned else AdviceCause.OBSERVES

    def advises_at(self, now: float) -> AdviceCause | None:
        """Like `advises`, at the time ``now``."""
        cause = self.advises
        if cause is not None or not self.enabled or not self.has_time_intervals:
            return cause
        muted = any(one.contains(now) for one in self.mute_time_intervals)
        intervals = self.active_time_intervals
        active = not intervals or any(one.contains(now) for one in intervals)
        return AdviceCause.MUTED if muted or not active else None

    @property
    def has_time_intervals(self) -> bool:
        """Whether time intervals decide if auto holds are advised only."""
        return bool(self.mute_time_intervals or self.active_time_intervals)

    @property
    def pauses(self) -> bool:
        """Whether a state can pause the scope."""
        return self.enabled and self.advises is None

    def rate_at(self, state: WellbeingState) -> float | None:
        """Requests per second that are admitted at the own ``state``; None: any number."""
        if not self.enabled or not self.restrict:
            return None
        # A worse state is restricted at least as much as a better one, even if its rate is missing.
        rates = [(at, rate) for at, rate in self.restrict if at <= state]
        return max(rates)[1] if rates else None


def _check_rates(restrict: tuple[tuple[WellbeingState, float], ...]) -> None:
    """Check the rates of a restriction.

    Raises:
        InvalidPolicy: a rate is not above 0 and finite, or is above the rate of a better state.
    """
    for state, rate in restrict:
        if state is WellbeingState.HEALTHY:
            raise InvalidPolicy("restrict.healthy", "a healthy scope is not restricted")
        if not 0 < rate < float("inf"):
            raise InvalidPolicy(f"restrict.{state.label}", f"must be a number above 0, got {rate!r}")
    for (better, upper), (worse, rate) in pairwise(sorted(restrict)):
        if rate > upper:
            raise InvalidPolicy(
                f"restrict.{worse.label}",
                f"must not be above the rate of {better.label} ({upper:g}), got {rate:g}",
            )


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """The policies of the config. The first rule that matches a scope decides, else the defaults.

    Attributes:
        defaults: the policy of scopes that no rule matches.
        rules: pairs of a scope and its policy, in the config's order. A rule matches the scope and all below
            it.
        named: other scopes that the config names.
    """

    defaults: Policy = Policy()
    rules: tuple[tuple[str, Policy], ...] = ()
    named: tuple[str, ...] = ()
    _first: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A linear search would make a start with 10,000 policies and as many scopes take a minute.
        first: dict[str, int] = {}
        for index, (match, _) in enumerate(self.rules):
            first.setdefault(match, index)
        object.__setattr__(self, "_first", first)

    def policy_for(self, scope: str) -> Policy:
        """The policy of ``scope``."""
        index = self.index_for(scope)
        return self.defaults if index is None else self.rules[index][1]

    def index_for(self, scope: str) -> int | None:
        """The position of the rule that decides for ``scope``; None: the defaults do."""
        first = self._first
        if not first:
            return None
        found = first.get(scope)
        while scope:
            scope = scope.rpartition("/")[0]
            index = first.get(scope)
            if index is not None and (found is None or index < found):
                found = index
        return found

    def named_scopes(self) -> Iterable[str]:
        """The scopes that the config names. They are always known."""
        return (*(match for match, _ in self.rules), *self.named)
