"""The limits of gates: how restrictions and trials apply to the gates of a scope and inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sidecar.core.values import Restriction, Trial

from .admission import Limiter, TokenBucket, TokenCount

if TYPE_CHECKING:
    from .gate import ScopeGate


class GateLimit(NamedTuple):
    """One limit that applies to a gate.

    Attributes:
        gate: the gate of the scope that has the limit.
        limit: the restriction or the trial of that scope.
    """

    gate: ScopeGate
    limit: Restriction | Trial


Limits = tuple[GateLimit, ...]
"""All limits of a gate, the nearest first; within one scope, the trial first."""


def rate_of(limits: Limits) -> float | None:
    """Requests per second that ``limits`` admit; None: no restriction is among them."""
    return min((one.limit.rate for one in limits if isinstance(one.limit, Restriction)), default=None)


def tightest(limits: Limits) -> GateLimit:
    """The limit that a snapshot shows: a trial, else the restriction with the lowest rate."""
    return min(limits, key=lambda one: one.limit.rate if isinstance(one.limit, Restriction) else 0.0)


def trial_of(limits: Limits) -> str:
    """The id of the trial that a request passes in; empty: no trial is among ``limits``."""
    began = [one.limit.since for one in limits if isinstance(one.limit, Trial)]
    return f"{max(began):.6f}" if began else ""


class ActiveLimit:
    """A limiter of a gate, and the limit that it enforces.

    Attributes:
        limit: the restriction or trial; None: it is a resume ramp.
        limiter: admits the requests.
        used_at: monotonic time when a client last asked it.
        succeeded: requests of a trial that succeeded.
    """

    __slots__ = ("limit", "limiter", "succeeded", "used_at")

    def __init__(self, limit: Restriction | Trial | None, rate: float, now: float) -> None:
        self.limit = limit
        tokens = TokenCount(limit.requests) if isinstance(limit, Trial) else TokenBucket(rate, now)
        self.limiter = Limiter(tokens)
        self.used_at = now
        self.succeeded = 0
