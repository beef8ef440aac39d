"""What a sidecar needs of the limits that a fleet shares, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateNeed:
    """What a sidecar needs of a rate.

    Attributes:
        name: identifies the limit in the fleet.
        limit: requests per second of all sidecars together.
        burst: most tokens that the fleet keeps while no one needs them.
        held: the share that the sidecar uses until it gets another one.
        given_back: tokens that it does not need.
        wanted: how many tokens it could use at once.
        used: how many tokens it has used since the last request.
        waiting: how many requests wait, by priority.
    """

    name: str
    limit: float
    burst: float
    held: float
    given_back: float
    wanted: int
    used: int
    waiting: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RateLease:
    """What a sidecar gets of a rate.

    Attributes:
        share: requests per second that it may admit from now on.
        tokens: tokens that it may use at once.
        entitled: the share that it gets as soon as others have reduced theirs.
    """

    share: float
    tokens: float
    entitled: float


@dataclass(frozen=True, slots=True)
class TrialNeed:
    """What a sidecar needs of a trial.

    Attributes:
        name: identifies the trial in the fleet.
        requests: how many requests all sidecars together admit.
        granted: how many tokens this sidecar got so far.
        wanted: how many more it could use.
        succeeded: how many of its requests succeeded.
        keep_secs: how long the counts are needed.
    """

    name: str
    requests: int
    granted: int
    wanted: int
    succeeded: int
    keep_secs: float


@dataclass(frozen=True, slots=True)
class TrialLease:
    """What a sidecar gets of a trial.

    Attributes:
        tokens: how many requests more it may admit.
        succeeded: how many requests of all sidecars succeeded.
    """

    tokens: int
    succeeded: int


Need = RateNeed | TrialNeed
Lease = RateLease | TrialLease
