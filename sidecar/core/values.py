"""What a scope's record is made of: signals, holds, the episode. All immutable.

Times are seconds since the epoch, UTC, as floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from .state import WellbeingState

STALE_SECS = 900.0
"""Alertmanager retries an old notification within its group interval. One that comes later than this with
the same beginning is no retry: a Prometheus that stood still goes on with the alerts it had."""

ALERT_PREFIX = "alert:"
AGENT_PREFIX = "agent:"


@dataclass(frozen=True, slots=True)
class Signal:
    """One source's claim about one scope.

    Attributes:
        source: ``alert:<fingerprint>`` or ``agent:<name>``.
        state: what the source claims.
        reason: why, in the source's words; may be empty.
        since: when the claim began: an alert's ``startsAt``, or when an agent first made it.
        expires_at: when it ends by itself; None: never.
        ended_at: when its source says that it ended, which was not believed; None: it has not said so.
        asked: by which question Alertmanager would tell of it, so that reconciliation may judge it by the
            answer to that; empty: by none.
        alertname: the name of the alert; empty: an agent's claim, or an alert without a name.
    """

    source: str
    state: WellbeingState
    reason: str
    since: float
    expires_at: float | None = None
    ended_at: float | None = None
    asked: str = ""
    alertname: str = ""

    @property
    def kind(self) -> str:
        """``alert`` or ``agent``."""
        return self.source.partition(":")[0]


class HoldKind(Enum):
    """Who put a hold, and so what may lift it."""

    AUTO = "auto"
    MANUAL = "manual"


class LiftCause(Enum):
    """Why a hold ended, named as in ``wellbeing_resumes_total``."""

    RECOVERED = "recovered"
    MANUAL = "manual"
    MAX_PAUSE = "max_pause"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason why a scope's gate is closed.

    Attributes:
        kind: put by the policy, or by an operator.
        reason: never empty.
        since: when it began.
        until: when it ends by itself; None: never.
        by: the signal's source, or the operator's name.
        alertname: of the alert that brought it; empty: none did.
    """

    kind: HoldKind
    reason: str
    since: float
    until: float | None
    by: str
    alertname: str = ""


@dataclass(frozen=True, slots=True)
class Episode:
    """The time from a scope's own state reaching its pause threshold until it falls below it.

    Attributes:
        since: when the threshold was reached.
        level: the own state when the auto hold was last put.
        known: the sources that had a signal at some time in the episode.
        suppressed: the auto hold ended by max pause or by an operator; only news puts another.
        pause_ended_at: when that hold ended; None: it stands, or it is not known.
        pause_end_cause: why it ended.
    """

    since: float
    level: WellbeingState
    known: frozenset[str]
    suppressed: bool = False
    pause_ended_at: float | None = None
    pause_end_cause: LiftCause | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What remains of an ended alert, so that an older notification of it is known to be stale.

    Attributes:
        ended_at: the latest ``endsAt`` seen.
        keep_until: when the tombstone itself may go.
        heard_at: when that was heard.
    """

    ended_at: float
    keep_until: float
    heard_at: float = 0.0

    def shifted(self, secs: float) -> Tombstone:
        """The same, ``secs`` later by this machine's clock; when the alert ended was told by another one."""
        return replace(self, keep_until=self.keep_until + secs, heard_at=self.heard_at + secs)


_NO_SIGNALS: Mapping[str, Signal] = MappingProxyType({})


def _no_signals() -> Mapping[str, Signal]:
    return _NO_SIGNALS


@dataclass(frozen=True, slots=True)
class ScopeRecord:
    """All that is known of one scope.

    Attributes:
        state: the own state as of the last decision; healthy while the policy is not enabled.
        signals: by source.
        auto: the policy's hold.
        manual: the operator's hold.
        episode: the one that runs, if any.
    """

    state: WellbeingState = WellbeingState.HEALTHY
    signals: Mapping[str, Signal] = field(default_factory=_no_signals)
    auto: Hold | None = None
    manual: Hold | None = None
    episode: Episode | None = None

    @property
    def hold(self) -> Hold | None:
        """The hold that a snapshot tells of: the manual one where there are both."""
        return self.manual or self.auto

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it would be missed."""
        return not self.signals and self.manual is None and self.auto is None

    def shifted(self, secs: float) -> ScopeRecord:
        """The same, ``secs`` later by this machine's clock; alerts began by another one's."""
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
        )


def _shifted(hold: Hold | None, secs: float) -> Hold | None:
    if hold is None:
        return None
    return replace(hold, since=hold.since + secs, until=None if hold.until is None else hold.until + secs)


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
