"""Requests for shares of the limits of a fleet, and the shares that are granted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateNeed:
    """A request for a share of a rate.

    Attributes:
        name: identifies the limit in the fleet.
        limit: requests per second of all sidecars together.
        burst: maximum number of tokens that the fleet keeps while no sidecar needs them.
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
    """The granted share of a rate.

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
    """A request for requests of a trial.

    Attributes:
        name: identifies the trial in the fleet.
        requests: how many requests all sidecars together admit.
        granted: how many tokens this sidecar has received so far.
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
    """The granted part of a trial.

    Attributes:
        tokens: how many more requests it may admit.
        succeeded: how many requests of all sidecars succeeded.
    """

    tokens: int
    succeeded: int


Need = RateNeed | TrialNeed
Lease = RateLease | TrialLease
