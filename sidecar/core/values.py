"""The parts of a scope's record: signals, holds, the episode. All are immutable.

Times are seconds since the epoch, UTC, as floats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from enum import Enum
from types import MappingProxyType

from .frozen import value_class
from .state import WellbeingState

TOMBSTONE_TTL_SECS = 900.0
"""Alertmanager retries an old notification within its group interval. A notification with the same start that
arrives later than this is not a retry: Prometheus was suspended and continues with its alerts."""

ALERT_PREFIX = "alert:"
AGENT_PREFIX = "agent:"


@value_class(frozen=True, slots=True)
class Signal:
    """One source's claim about one scope.

    Attributes:
        source: ``alert:<fingerprint>`` or ``agent:<name>``.
        state: what the source claims.
        reason: text of the source; may be empty.
        since: when the claim began: the ``startsAt`` of an alert, or the first claim of an agent.
        expires_at: when the signal expires; None: never.
        ended_at: when the alert ended by a resolve that is not accepted yet; None: there was no such resolve.
        query: the Alertmanager query that lists the alert. Reconciliation may end the signal only by the
            answer to this query; empty: no query lists it.
        alertname: the name of the alert; empty: an agent's claim, or an alert without a name.
    """

    source: str
    state: WellbeingState
    reason: str
    since: float
    expires_at: float | None = None
    ended_at: float | None = None
    query: str = ""
    alertname: str = ""

    @property
    def kind(self) -> str:
        """``alert`` or ``agent``."""
        return self.source.partition(":")[0]


class HoldKind(Enum):
    """Whether the policy or an operator put a hold. This decides what lifts it."""

    AUTO = "auto"
    MANUAL = "manual"


class LiftCause(Enum):
    """Why a hold ended, named as in ``wellbeing_resumes_total``. ``POLICY``: the policy has changed."""

    RECOVERED = "recovered"
    MANUAL = "manual"
    MAX_PAUSE = "max_pause"
    EXPIRED = "expired"
    POLICY = "policy"


class AdviceCause(Enum):
    """Why an auto hold is advised only.

    ``OBSERVES``: the policy does not pause for the state. ``MUTED``: the time lies in a mute time interval,
    or in no active one. ``PAUSED_SHARE``: the maximum share of sibling scopes is already paused.
    """

    OBSERVES = "observes"
    DRY_RUN = "dry_run"
    MUTED = "time_intervals"
    PAUSED_SHARE = "max_paused_share"


@value_class(frozen=True, slots=True)
class Hold:
    """A reason why a scope's gate is closed, or would be closed if the hold were not advised only.

    Attributes:
        kind: put by the policy, or by an operator.
        reason: never empty.
        since: when it was put.
        until: when it ends; None: never.
        by: the source of the signal, or the name of the operator.
        alertname: name of the alert that caused it; empty: no alert did.
        advised: why it is advice and closes no gate; None: it closes the gate.
        failed_trials: how many trials in a row failed. If not 0, the last failed trial put the hold back, and
            the next trial begins when the hold ends.
    """

    kind: HoldKind
    reason: str
    since: float
    until: float | None
    by: str
    alertname: str = ""
    advised: AdviceCause | None = None
    failed_trials: int = 0

    @property
    def cause(self) -> str:
        """Why it was put: ``auto``, ``manual`` or ``trial_failed``."""
        return "trial_failed" if self.failed_trials else self.kind.value


@value_class(frozen=True, slots=True)
class Restriction:
    """A limit of the requests per second at the gate of a scope.

    Attributes:
        rate: requests per second, above 0.
        reason: why; never empty.
        since: when it began.
        by: the source of the signal.
        alertname: name of the alert that caused it; empty: no alert did.
        advised: the policy only advises it: it restricts nothing.
    """

    rate: float
    reason: str
    since: float
    by: str
    alertname: str = ""
    advised: bool = False


@value_class(frozen=True, slots=True)
class Trial:
    """A limited number of requests after a recovery. Their outcome decides whether the gate opens.

    Attributes:
        requests: how many requests pass.
        since: when it began.
        until: when it ends without a failure.
        hold: the hold that was lifted, and that is put back after a failure.
    """

    requests: int
    since: float
    until: float
    hold: Hold

    @property
    def reason(self) -> str:
        """Why the gate is not open yet."""
        return f"trial of {self.requests} requests after: {self.hold.reason}"


_MAX_KNOWN_SOURCES = 1_000
"""Above this, sources whose signals have ended are forgotten. They are news when they fire again."""


@value_class(frozen=True, slots=True)
class Episode:
    """The time from a scope's own state reaching its pause threshold until it falls below it.

    Attributes:
        since: when the threshold was reached.
        level: the own state when the auto hold was last put.
        known: the sources that have had a signal in the episode.
        suppressed: the auto hold ended by max pause or by an operator. Only news puts another one.
        pause_ended_at: when that hold ended; None: it has not ended, or the time is not known.
        pause_end_cause: why that hold ended.
        pause_advised: that hold was advised only.
    """

    since: float
    level: WellbeingState
    known: frozenset[str]
    suppressed: bool = False
    pause_ended_at: float | None = None
    pause_end_cause: LiftCause | None = None
    pause_advised: bool = False

    def with_sources(self, sources: Collection[str]) -> Episode:
        """The episode after ``sources`` have a signal."""
        known = self.known.union(sources)
        if len(known) > _MAX_KNOWN_SOURCES:
            # A long episode would otherwise remember every alert that ever fired.
            known = frozenset(sources)
        return replace(self, known=known)

    def without_pause(self, hold: Hold, at: float, cause: LiftCause) -> Episode:
        """The episode, suppressed, after its ``hold`` ended at ``at`` by ``cause``."""
        return replace(
            self,
            suppressed=True,
            pause_ended_at=at,
            pause_end_cause=cause,
            pause_advised=hold.advised is not None,
        )


@value_class(frozen=True, slots=True)
class Tombstone:
    """Record of an ended alert. It shows that an older notification of the alert is stale.

    Attributes:
        ended_at: the latest ``endsAt`` that was received.
        keep_until: when the tombstone expires.
        received_at: when that ``endsAt`` was received.
    """

    ended_at: float
    keep_until: float
    received_at: float = 0.0

    def shifted(self, secs: float) -> Tombstone:
        """A copy, ``secs`` later. ``ended_at`` stays, because it comes from another machine's clock."""
        return replace(self, keep_until=self.keep_until + secs, received_at=self.received_at + secs)


_NO_SIGNALS: Mapping[str, Signal] = MappingProxyType({})


def _no_signals() -> Mapping[str, Signal]:
    return _NO_SIGNALS


@value_class(frozen=True, slots=True)
class ScopeRecord:
    """The state of one scope.

    Attributes:
        state: the own state after the last command; healthy while the policy is not enabled.
        signals: the signals, by source.
        auto: the hold of the policy; it may be advised only.
        manual: the hold of an operator.
        episode: the current episode, if any.
        restriction: the restriction by the own state, if any.
        trial: the trial after a recovery, if any.
    """

    state: WellbeingState = WellbeingState.HEALTHY
    signals: Mapping[str, Signal] = field(default_factory=_no_signals)
    auto: Hold | None = None
    manual: Hold | None = None
    episode: Episode | None = None
    restriction: Restriction | None = None
    trial: Trial | None = None

    @property
    def hold(self) -> Hold | None:
        """The hold that closes the gate: the manual one if there are both."""
        if self.manual is not None or self.advice is not None:
            return self.manual
        return self.auto

    @property
    def advice(self) -> Hold | None:
        """The hold that the policy would have put; it closes no gate."""
        return self.auto if self.auto is not None and self.auto.advised is not None else None

    @property
    def is_empty(self) -> bool:
        """Whether there are no signals, no holds, no advice and no trial."""
        return not self.signals and self.manual is None and self.auto is None and self.trial is None

    def shifted(self, secs: float) -> ScopeRecord:
        """A copy, ``secs`` later. The starts of alerts stay, since they come from another machine's clock."""
        return replace(
            self,
            signals={
                source: replace(
                    signal,
                    since=signal.since if signal.kind == "alert" else signal.since + secs,
                    expires_at=None if signal.expires_at is None else signal.expires_at + secs,
                )
                for source, signal in self.signals.items()
            },
            auto=_shifted(self.auto, secs),
            manual=_shifted(self.manual, secs),
            episode=_shifted_episode(self.episode, secs),
            restriction=self.restriction and replace(self.restriction, since=self.restriction.since + secs),
            trial=_shifted_trial(self.trial, secs),
        )


def _shifted(hold: Hold | None, secs: float) -> Hold | None:
    if hold is None:
        return None
    return replace(hold, since=hold.since + secs, until=None if hold.until is None else hold.until + secs)


def _shifted_trial(trial: Trial | None, secs: float) -> Trial | None:
    if trial is None:
        return None
    since, until = trial.since + secs, trial.until + secs
    return replace(trial, since=since, until=until, hold=_shifted(trial.hold, secs) or trial.hold)


def _shifted_episode(episode: Episode | None, secs: float) -> Episode | None:
    if episode is None:
        return None
    ended_at = episode.pause_ended_at
    return replace(
        episode,
        since=episode.since + secs,
        pause_ended_at=None if ended_at is None else ended_at + secs,
    )


EMPTY = ScopeRecord()
