"""The limits of gates: how restrictions and trials apply to the gate of a scope and to the gates below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sidecar.core.values import Restriction, Trial

from .admission import Limiter
from .tokens import LeasedBucket, LeasedCount, TokenBucket, TokenCount

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

    Args:
        gate: the gate of the scope that has the limit.
        limit: the restriction or trial; None: it is a resume ramp.
        rate: requests per second.
        now: monotonic time.
        shared: whether the limit is shared with other sidecars.

    Attributes:
        gate: from the arguments.
        name: identifies the limit in a fleet.
        limit: from the arguments.
        limiter: admits the requests.
        used_at: monotonic time when a client last asked it.
        succeeded: requests of a trial that succeeded, as far as reported to this sidecar.
    """

    __slots__ = ("gate", "limit", "limiter", "name", "succeeded", "used_at")

    def __init__(
        self, gate: ScopeGate, limit: Restriction | Trial | None, rate: float, now: float, *, shared: bool
    ) -> None:
        self.gate = gate
        self.limit = limit
        scope = gate.scope
        tokens: TokenBucket | TokenCount
        if isinstance(limit, Trial):
            self.name = f"trial {limit.since:.6f} {scope}"
            tokens = LeasedCount() if shared else TokenCount(limit.requests)
        else:
            self.name = f"{'ramp' if limit is None else 'restriction'} {scope}"
            tokens = LeasedBucket(rate, now) if shared else TokenBucket(rate, now)
        self.limiter = Limiter(tokens)
        self.used_at = now
        self.succeeded = 0
