"""Tokens: each request that passes takes one. They arrive at a rate, or their number is fixed.

In a fleet the limit of a scope is shared. Each sidecar has tokens of its own, which it leases: `LeasedBucket`
and `LeasedCount`. They start empty.

Rules of this file: time is an argument, in seconds of any monotonic clock.
"""

from __future__ import annotations

import math

BURST_SECS = 0.1


def burst_of(limit: float) -> float:
    """The capacity of a bucket with ``limit`` tokens per second."""
    return max(1.0, limit * BURST_SECS)


class TokenBucket:
    """A token bucket. It starts with one token.

    Args:
        rate: tokens per second, above 0.
        now: the time in seconds.

    Attributes:
        held: tokens that were taken and are not used yet. They still fill the bucket, so that no window of
            time in which they are used has more than the rate and the burst.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.held = 0
        self._tokens = 1.0
        self._at = now

    @property
    def limit(self) -> float:
        """Tokens per second of the limit."""
        return self.rate

    @property
    def burst(self) -> float:
        """The capacity of the bucket: the tokens of a tenth of a second, at least one."""
        return burst_of(self.limit)

    def set_limit(self, limit: float, now: float) -> None:
        """Set the limit to ``limit`` tokens per second from ``now`` on."""
        self._set_rate(limit, now)

    def _set_rate(self, rate: float, now: float) -> None:
        self._fill(now)
        self.rate = rate
        self._fill(now)

    def available(self, now: float) -> int:
        """Whole tokens that can be taken."""
        if now > self._at:
            self._fill(now)
        # A timer that fires on time must not miss its token by a rounding error.
        return int(self._tokens + 1e-9)

    def take(self) -> None:
        """Take one of the `available` tokens."""
        self._tokens = max(0.0, self._tokens - 1.0)

    def secs_until_token(self, now: float) -> float:
        """Seconds until a whole token is available."""
        if now > self._at:
            self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self.rate)

    def _fill(self, now: float) -> None:
        most = max(0.0, self.burst - self.held)
        self._tokens = min(most, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = max(now, self._at)


class TokenCount:
    """A fixed number of tokens: the requests of a trial.

    Args:
        tokens: how many.

    Attributes:
        held: as in `TokenBucket`; it makes no difference here.
    """

    rate = limit = 0.0

    def __init__(self, tokens: int) -> None:
        self.left = tokens
        self.held = 0

    def available(self, now: float) -> int:  # noqa: ARG002 - as a bucket
        """Tokens that can be taken."""
        return self.left

    def take(self) -> None:
        """Take one of the `available` tokens."""
        self.left -= 1

    def secs_until_token(self, now: float) -> float:  # noqa: ARG002 - as a bucket
        """0 while there are tokens, else infinite."""
        return 0.0 if self.left else math.inf


class LeasedBucket(TokenBucket):
    """A sidecar's share of a rate that a fleet shares. It starts with no share and no token.

    Args:
        limit: tokens per second of all sidecars together.
        now: the time in seconds.

    Attributes:
        share: tokens per second that were leased.
        taken: how many tokens were taken so far.
    """

    def __init__(self, limit: float, now: float) -> None:
        super().__init__(0.0, now)
        self._limit = limit
        self._tokens = 0.0
        self._reserve = 0.0
        self.share = 0.0
        self.taken = 0

    @property
    def limit(self) -> float:
        """Tokens per second of all sidecars together."""
        return self._limit

    @property
    def burst(self) -> float:
        """The capacity of a bucket with the rate of the share."""
        return burst_of(self.rate)

    def set_limit(self, limit: float, now: float) -> None:
        """Set the limit of all sidecars. A lower one reduces the share at once, so the shares still fit."""
        part = min(1.0, limit / self._limit)
        self._limit = limit
        self._reserve *= part
        self.set_share(self.share * part, now)

    def set_share(self, share: float, now: float) -> None:
        """Set the share to ``share`` tokens per second from ``now`` on."""
        self.share = share
        self._set_rate(share + self._reserve, now)

    def set_reserve(self, reserve: float, now: float) -> None:
        """Use ``reserve`` tokens per second beside the share from ``now`` on."""
        if reserve != self._reserve:
            self._reserve = reserve
            self._set_rate(self.share + reserve, now)

    def grant(self, tokens: float) -> None:
        """Add ``tokens``, which the fleet does not have any more."""
        self._tokens += tokens

    def give_back(self, now: float) -> float:
        """Remove and return all tokens, including a fraction of one. They go back to the fleet."""
        self._fill(now)
        tokens, self._tokens = self._tokens, 0.0
        return tokens

    def take(self) -> None:
        """Take one of the `available` tokens."""
        super().take()
        self.taken += 1

    def _fill(self, now: float) -> None:
        before = self._tokens
        super()._fill(now)
        # Tokens that were granted may be more than the capacity of the share.
        self._tokens = max(before, self._tokens)

    def secs_until_token(self, now: float) -> float:
        """Seconds until a whole token is available; infinite without a share."""
        return super().secs_until_token(now) if self.rate else (0.0 if self.available(now) else math.inf)


class LeasedCount(TokenCount):
    """A sidecar's part of a number of tokens that a fleet shares. It starts with none.

    Attributes:
        granted: number of tokens received so far, without the tokens that were given back.
    """

    def __init__(self) -> None:
        super().__init__(0)
        self.granted = 0

    def grant(self, tokens: int) -> None:
        """Add ``tokens``, which the fleet does not have any more."""
        self.left += tokens
        self.granted += tokens

    def give_back(self, tokens: int) -> None:
        """Remove ``tokens`` of the remaining tokens. They go back to the fleet."""
        self.left -= tokens
        self.granted -= tokens
