"""Updates the record of one scope. Every decision about pausing is made here.

Rules of this file: it knows one scope and its policy, never the ancestors of the scope. Time is an argument.
A record is never changed; a new one is made.

Theory of operation. A command opens a `ScopeUpdate`. First, everything whose time has run out is ended, in
order, with the time at which it was due. Then the command puts and drops signals, or puts and lifts the
manual hold. `finish` settles once. So a notification that ends one alert and begins another is one step, and
no request is admitted in between.

Settling depends on the own state and the threshold (``reached``: there is a threshold, and the state is at or
above it):

====================  =========================================  ==================================
                      reached                                    not reached
====================  =========================================  ==================================
no episode            begin one; put the auto hold               lift an auto hold once it is
                                                                 ``min_pause_secs`` old
episode with a hold   add new sources to the known ones          end it; lift the auto hold once it
                                                                 is ``min_pause_secs`` old
episode, suppressed   put an auto hold if there is news          end it
====================  =========================================  ==================================

News is a signal at or above the threshold whose source is not known in the episode, or a rise of the own
state above the state at which the hold was put. If an auto hold ends by max pause or by an operator, the
episode becomes suppressed.

If the policy has a trial, a recovery that opens the gate begins one. A failure puts the hold back, without an
episode, for a time that doubles with each failure in a row; then the next trial begins. If the threshold is
reached meanwhile, or an operator resumes, the trial and the failures are forgotten.

The restriction follows from the own state alone.

An auto hold whose policy only observes is advised: it is a hold with a mark. The same decisions are made for
it, but it closes no gate. If the policy changes from advice to pauses, a hold that begins now replaces the
advice, and vice versa. A policy that only observes keeps no hold for ``min_pause_secs``. A hold that is
advised because of ``max_paused_share`` stays advice until there is news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from .causes import (
    ADVISES_NOW,
    MAY_PAUSE_NOW,
    NEXT_TRIAL,
    PAUSES_NOW,
    POLICY,
    RECOVERED,
    TIME,
    TRIAL,
    Cause,
    cause_of,
)
from .deadlines import can_recover
from .events import (
    CoreEvent,
    HoldLifted,
    HoldPut,
    RestrictionChanged,
    SignalDropped,
    SignalPut,
    StateChanged,
    TrialBegan,
    TrialEnded,
)
from .policy import Policy
from .state import WellbeingState
from .values import AdviceCause, Episode, Hold, HoldKind, LiftCause, Restriction, ScopeRecord, Signal, Trial

_MAX_TRIAL_DISTANCE_SECS = 3_600.0
"""The longest time between two trials, if the policy has no ``max_pause_secs``."""


class ScopeUpdate:
    """The changes that one command makes to the record of one scope.

    Args:
        scope: the scope.
        record: its record before the command.
        policy: its policy.
        now: seconds since the epoch.
        refuse_pause: returns why sibling scopes prevent a pause of the scope; empty: they do not.
    """

    __slots__ = (
        "_auto", "_episode", "_expiring", "_manual", "_now", "_policy", "_refuse_pause", "_restriction",
        "_scope", "_signals", "_signals_copied", "_state", "_trial", "_trigger", "_trigger_state", "events",
    )  # fmt: skip

    def __init__(
        self,
        scope: str,
        record: ScopeRecord,
        policy: Policy,
        now: float,
        refuse_pause: Callable[[], str] = lambda: "",
    ) -> None:
        self.events: list[CoreEvent] = []
        self._scope = scope
        self._policy = policy
        self._now = now
        self._refuse_pause = refuse_pause
        self._state = record.state
        self._signals = record.signals
        self._signals_copied = False
        self._auto = record.auto
        self._manual = record.manual
        self._episode = record.episode
        self._restriction = record.restriction
        self._trial = record.trial
        self._trigger: Cause | None = None
        self._trigger_state = WellbeingState.HEALTHY
        self._expiring = False
        self._expire()

    def put_signal(self, signal: Signal) -> None:
        """Add ``signal``. It replaces an earlier signal of the same source."""
        self._writable_signals()[signal.source] = signal
        self.events.append(SignalPut(self._scope, self._now, signal))
        if self._trigger is None or signal.state >= self._trigger_state:
            self._trigger = cause_of(signal)
            self._trigger_state = signal.state

    def drop_signal(self, source: str, reason: str = "") -> None:
        """End the signal of ``source``, if there is one."""
        self._drop(source, reason, self._now, expired=False)

    def pause(self, reason: str, by: str, max_pause_secs: float | None = None) -> None:
        """Put the manual hold, or replace the reason and end of the current one. Its start stays."""
        limit = self._policy.max_pause_secs if max_pause_secs is None else max_pause_secs
        since = self._manual.since if self._manual else self._now
        hold = Hold(HoldKind.MANUAL, reason, since, self._now + limit if limit else None, by)
        self._put(hold, self._now)

    def resume(self, reason: str, by: str) -> None:
        """Lift every hold, end the trial, and suppress the episode."""
        self._end_trial(Cause(by, reason or "resumed"), self._now)
        for hold in (self._auto, self._manual):
            if hold is not None:
                self._lift(hold, LiftCause.MANUAL, Cause(by, reason), self._now)
                if hold.kind is HoldKind.AUTO:
                    self._end_episode_pause(hold, self._now, LiftCause.MANUAL)
        if self._episode is not None:
            self._episode = replace(self._episode, suppressed=True)

    def end_trial(self, since: float, failure: str) -> None:
        """End the trial that began at ``since``, if it is not over.

        Args:
            since: when it began.
            failure: why it failed: the hold is put back; empty: it succeeded.
        """
        trial = self._trial
        if trial is None or trial.since != since:
            return
        if not failure:
            succeeded = f"{trial.requests} of {trial.requests} requests succeeded"
            self._end_trial(Cause(TRIAL, succeeded), self._now)
            return
        self._end_trial(Cause(TRIAL, failure), self._now, failed=True)
        failed = trial.hold.failed_trials + 1
        longest = self._policy.max_pause_secs or _MAX_TRIAL_DISTANCE_SECS
        secs = min(self._policy.resume_trial.secs * 2.0 ** min(failed - 1, 30), longest)
        hold = replace(trial.hold, since=self._now, until=self._now + secs, failed_trials=failed)
        self._put(self._guarded(hold, self._now), self._now)

    def suppress(self) -> None:
        """Begin a suppressed episode: the current signals do not pause, because their pause has ended."""
        if self._episode is None and self._auto is None:
            self._episode = Episode(
                self._now, worst(self._signals.values()), frozenset(self._signals), suppressed=True
            )

    def restore_signal(self, signal: Signal) -> None:
        """Restore a signal that has ended. It is not news to the current episode."""
        self.put_signal(signal)
        if self._episode is not None:
            level = max(self._episode.level, signal.state)
            known = self._episode.known | {signal.source}
            self._episode = replace(self._episode, level=level, known=known)

    def restore_hold(self, hold: Hold) -> None:
        """Restore an auto hold, with its end, after the recovery that lifted it was not accepted."""
        if self._auto is not None or self._episode is not None:
            return
        if hold.until is not None and hold.until <= self._now:
            self.suppress()
            self._end_episode_pause(hold, hold.until, LiftCause.MAX_PAUSE)
        elif self._now < hold.since + self._policy.min_pause_secs:
            # A recovery cannot lift a hold this early, so an operator did.
            self.suppress()
        elif self._threshold_reached:
            self._put(hold, self._now)

    def signal(self, source: str) -> Signal | None:
        """The signal of ``source`` after the changes so far."""
        return self._signals.get(source)

    @property
    def recovers(self) -> bool:
        """Whether the scope has an auto hold that its signals, after the changes so far, no longer need."""
        threshold = self._policy.threshold
        return self._auto is not None and (threshold is None or worst(self._signals.values()) < threshold)

    def finish(self) -> ScopeRecord:
        """Settle, and return the new record. `events` has the changes."""
        self._settle(self._now)
        return ScopeRecord(
            self._state,
            self._signals,
            self._auto,
            self._manual,
            self._episode,
            self._restriction,
            self._trial,
        )

    # -- time -------------------------------------------------------------------------------------

    def _expire(self) -> None:
        now = self._now
        expiring = [
            (signal.expires_at, signal.source)
            for signal in self._signals.values()
            if signal.expires_at is not None and signal.expires_at <= now
        ]
        expiring.sort()
        index = 0
        while index < len(expiring):
            at = expiring[index][0]
            self._expire_holds(at)
            while index < len(expiring) and expiring[index][0] == at:
                self._drop(expiring[index][1], "expired", at, expired=True)
                index += 1
            self._expiring = True
            self._settle(at)
            self._expiring = False
        self._expire_holds(self._now)

    def _expire_holds(self, upto: float) -> None:
        if self._trial and self._trial.until <= upto:
            passed = f"no failure within {self._trial.until - self._trial.since:g} s"
            self._end_trial(Cause(TIME, passed), self._trial.until)
        if self._auto is None and self._manual is None:
            return
        standing = (hold for hold in (self._auto, self._manual) if hold)
        for hold in sorted(standing, key=lambda hold: hold.until or 0.0):
            if hold.until is not None and hold.until <= upto:
                if hold.failed_trials:
                    self._lift(hold, LiftCause.RECOVERED, NEXT_TRIAL, hold.until)
                    self._begin_trial(hold, hold.until)
                    continue
                self._lift(hold, LiftCause.MAX_PAUSE, Cause(TIME, "max_pause_secs reached"), hold.until)
                if hold.kind is HoldKind.AUTO:
                    self._end_episode_pause(hold, hold.until, LiftCause.MAX_PAUSE)
        if self._auto and self._episode is None and can_recover(self._auto, self._policy):
            self._recover(upto, self._auto.since + self._policy.min_pause_secs)

    # -- settling ---------------------------------------------------------------------------------

    def _settle(self, at: float) -> None:
        before = self._state
        self._state = worst(self._signals.values()) if self._policy.enabled else WellbeingState.HEALTHY
        cause = self._cause_of_state(before)
        if self._state != before:
            self.events.append(
                StateChanged(
                    self._scope,
                    at,
                    before,
                    self._state,
                    cause.source,
                    cause.reason,
                    alertname=cause.alertname,
                )
            )
        self._restrict(at, cause)
        threshold = self._policy.threshold
        if threshold is not None and self._state >= threshold:
            self._settle_reached(at, before, threshold, cause)
        else:
            self._episode = None
            if self._auto and not self._auto.advised and self._policy.advises_at(at):
                self._lift(self._auto, LiftCause.POLICY, ADVISES_NOW, at)
            elif self._auto and can_recover(self._auto, self._policy):
                self._recover(at, at, cause)
        self._trigger = None
        self._trigger_state = WellbeingState.HEALTHY

    def _settle_reached(
        self, at: float, before: WellbeingState, threshold: WellbeingState, cause: Cause
    ) -> None:
        episode = self._episode
        sources = self._signals.keys()
        if episode is None:
            self._episode = Episode(at, self._state, frozenset(sources))
            self._end_trial(cause, at)
            if self._auto is None or self._auto.failed_trials:
                self._put_auto(at, cause)
            else:
                self._follow_policy(self._auto, at)
            return
        new_sources = sources - episode.known
        rose = before < self._state and self._state > episode.level
        is_news = rose or any(self._signals[one].state >= threshold for one in new_sources)
        if episode.suppressed and is_news:
            episode = Episode(episode.since, self._state, episode.known)
            self._put_auto(at, cause)
        elif self._auto is not None and (
            self._follow_policy(self._auto, at)
            or (is_news and self._pause_within_share(self._auto, at, cause))
        ):
            episode = replace(episode, level=self._state)
        if new_sources:
            episode = episode.with_sources(sources)
        self._episode = episode

    def _cause_of_state(self, before: WellbeingState) -> Cause:
        """The cause of the current state: if it got worse or stayed, a signal that has this state."""
        trigger = self._trigger
        if self._state < before or not self._signals:
            return trigger or Cause(POLICY, "")
        if trigger and trigger.source in self._signals and self._signals[trigger.source].state == self._state:
            return trigger
        first = max(self._signals.values(), key=lambda signal: (signal.state, -signal.since))
        return cause_of(first)

    def _put_auto(self, at: float, by: Cause) -> None:
        limit = self._policy.max_pause_secs
        reason = by.reason or f"Agent entered {self._state.label} state"
        until = at + limit if limit else None
        hold = self._guarded(Hold(HoldKind.AUTO, reason, at, until, by.source, by.alertname), at)
        # A hold that a failed trial put back.
        replaced = self._auto
        if replaced is not None and (replaced.advised is None) is not (hold.advised is None):
            self._lift(replaced, LiftCause.POLICY, ADVISES_NOW if hold.advised else PAUSES_NOW, at)
        self._put(hold, at)

    def _guarded(self, hold: Hold, at: float) -> Hold:
        """``hold``, advised only if the policy or a guard says so."""
        advised = self._policy.advises_at(at)
        if advised is None and (refusal := self._refuse_pause()):
            advised = AdviceCause.PAUSED_SHARE
            hold = replace(hold, reason=f"{hold.reason} ({refusal})")
        return hold if hold.advised is advised else replace(hold, advised=advised)

    def _follow_policy(self, hold: Hold, at: float) -> bool:
        """Replace the auto ``hold`` if it is advised and the policy pauses now, or vice versa.

        The new hold begins at ``at``, because the gate closes or opens then. Returns whether it was replaced.
        """
        if hold.advised is AdviceCause.PAUSED_SHARE:
            # This applies even if the policy advises for another reason now: the hold has its own reason.
            return False
        advised = self._policy.advises_at(at)
        if (hold.advised is None) is (advised is None):
            self._auto = hold if hold.advised is advised else replace(hold, advised=advised)
            return False
        self._lift(hold, LiftCause.POLICY, ADVISES_NOW if advised else PAUSES_NOW, at)
        self._put_auto(at, Cause(hold.by, hold.reason, hold.alertname))
        return True

    def _pause_within_share(self, hold: Hold, at: float, by: Cause) -> bool:
        """Replace the auto ``hold`` if it is advised by ``max_paused_share``, which admits a pause now.

        Returns whether it was replaced.
        """
        if (
            hold.advised is not AdviceCause.PAUSED_SHARE
            or self._policy.advises_at(at) is not None
            or self._refuse_pause()
        ):
            return False
        self._lift(hold, LiftCause.POLICY, MAY_PAUSE_NOW, at)
        self._put_auto(at, by)
        return True

    def _recover(self, at: float, when: float, by: Cause = RECOVERED) -> None:
        """Lift the auto hold with the time ``when``, if it has reached its minimum duration at ``at``."""
        hold = self._auto
        if hold is None:
            return
        lift_at = max(when, hold.since + self._policy.min_pause_secs)
        if lift_at <= at:
            cause = LiftCause.EXPIRED if self._expiring else LiftCause.RECOVERED
            self._lift(hold, cause, by, lift_at)
            self._begin_trial(hold, lift_at)

    def _restrict(self, at: float, by: Cause) -> None:
        """Begin, change or end the restriction that belongs to the own state."""
        rate = self._policy.rate_at(self._state)
        old = self._restriction
        advised = self._policy.dry_run
        if (old.rate, old.advised) == (rate, advised) if old else rate is None:
            return
        new = None
        if rate is not None:
            reason = by.reason or f"Agent entered {self._state.label} state"
            new = Restriction(rate, reason, at, by.source, by.alertname, advised)
        self._restriction = new
        self.events.append(
            RestrictionChanged(
                self._scope,
                at,
                old,
                new,
                by.source,
                new.reason if new else by.reason,
                alertname=by.alertname,
            )
        )

    def _begin_trial(self, hold: Hold, at: float) -> None:
        """Begin the trial of the policy, if ``hold`` was the last one that kept the gate closed."""
        policy = self._policy.resume_trial
        is_open = self._auto is None and self._manual is None
        if policy.requests and is_open and hold.advised is None and self._policy.pauses:
            self._trial = Trial(policy.requests, at, at + policy.secs, hold)
            self.events.append(TrialBegan(self._scope, at, self._trial))

    def _end_trial(self, by: Cause, at: float, *, failed: bool = False) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            self.events.append(TrialEnded(self._scope, at, trial, failed, by.reason, by.source))

    # -- single changes ----------------------------------------------------------------------------

    def _writable_signals(self) -> dict[str, Signal]:
        if not self._signals_copied:
            self._signals = dict(self._signals)
            self._signals_copied = True
        assert isinstance(self._signals, dict)  # noqa: S101 - for the type checker
        return self._signals

    def _drop(self, source: str, reason: str, at: float, *, expired: bool) -> None:
        if source not in self._signals:
            return
        signal = self._writable_signals().pop(source)
        self.events.append(SignalDropped(self._scope, at, signal, expired))
        if self._trigger is None:
            self._trigger = Cause(source, reason, signal.alertname)

    def _put(self, hold: Hold, at: float) -> None:
        paused = hold.advised is None and not self._is_held
        if hold.kind is HoldKind.AUTO:
            self._auto = hold
        else:
            self._manual = hold
        self.events.append(HoldPut(self._scope, at, hold, paused))

    def _lift(self, hold: Hold, cause: LiftCause, by: Cause, at: float) -> None:
        if hold.kind is HoldKind.AUTO:
            self._auto = None
        else:
            self._manual = None
        resumed = hold.advised is None and not self._is_held
        self.events.append(
            HoldLifted(self._scope, at, hold, cause, by.reason, by.source, resumed, alertname=by.alertname)
        )

    def _end_episode_pause(self, hold: Hold, at: float, cause: LiftCause) -> None:
        """Suppress the episode, whose ``hold`` ended at ``at`` by ``cause``."""
        if self._episode is not None:
            self._episode = self._episode.without_pause(hold, at, cause)

    @property
    def _is_held(self) -> bool:
        """Whether a hold closes the gate."""
        return self._manual is not None or (self._auto is not None and self._auto.advised is None)

    @property
    def _threshold_reached(self) -> bool:
        threshold = self._policy.threshold
        return threshold is not None and worst(self._signals.values()) >= threshold


def worst(signals: Iterable[Signal]) -> WellbeingState:
    """The worst state that ``signals`` claim; healthy without any."""
    return max([signal.state for signal in signals], default=WellbeingState.HEALTHY)
