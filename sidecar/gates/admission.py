"""Admission at a rate: how many requests a second may pass, here and in clients together.

Rules of this file: it knows no loop, no gate and no connection. Time comes in as an argument, in seconds of
any clock that only grows.

Two parts:

- `TokenBucket` admits the sidecar's own waiters: in any window of T seconds at most rate * T + burst.
- `RateShares` divides one rate between the sidecar and the clients that hold waiters of their own. At any
  moment the sum of what each of them may use is at most the rate.

How the shares work. All clients are told one number, the *offer*: how many requests a second each may let
through. A client that was told an offer may use it until it has no waiters left or is gone. So what is
granted to a client only grows while it takes part, however small a later offer is: a client may not have
heard of the later one, and older clients ignore it. The sidecar's own waiters get what is not granted. The
offer grows when clients leave.

Nobody is stuck: own waiters that come when the whole rate is granted get a hundredth of it on top until a
client leaves.

A client that nobody knew of when the shares began, and that holds waiters all the same, is granted the offer
that stands when it first reports. Only for such clients, which may have read a larger offer before, the sum
can exceed the rate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

BURST_SECS = 0.1
_RESERVED_CLIENTS = 10
"""While no client is known, the offer leaves room for so many."""
_MIN_OWN_SHARE = 0.01
_MIN_GROWTH = 1.05


class TokenBucket:
    """A token bucket. It starts with one token.

    Args:
        rate: tokens a second; may be 0.
        now: seconds.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = 1.0
        self._at = now

    @property
    def burst(self) -> float:
        """The most tokens that are kept: a tenth of a second's worth, at least one."""
        return max(1.0, self.rate * BURST_SECS)

    def set_rate(self, rate: float, now: float) -> None:
        """From ``now`` on there are ``rate`` tokens a second."""
        self._fill(now)
        self.rate = rate
        self._tokens = min(self._tokens, self.burst)

    def take(self, limit: int, now: float) -> int:
        """Take up to ``most`` whole tokens; how many there were."""
        self._fill(now)
        # A timer that fires on time must not miss its token by a rounding error.
        taken = min(limit, int(self._tokens + 1e-9))
        self._tokens = max(0.0, self._tokens - taken)
        return taken

    def secs_until_token(self, now: float) -> float:
        """Seconds until a whole token is there; infinite if the rate is 0."""
        self._fill(now)
        missing = 1.0 - self._tokens
        if missing <= 0.0:
            return 0.0
        return missing / self.rate if self.rate > 0.0 else float("inf")

    def _fill(self, now: float) -> None:
        self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = max(now, self._at)


class RateShares:
    """Divides a rate between the sidecar's own waiters and clients.

    Args:
        rate: requests a second, all together; above 0.
        clients: those that hold waiters, or may hold some.
        own: whether the sidecar has waiters of its own.

    Attributes:
        rate: requests a second, all together.
        offer: how many requests a second each client is told that it may let through.
    """

    def __init__(self, rate: float, clients: Iterable[Hashable], *, own: bool) -> None:
        self.rate = rate
        self._own = own
        granted = list(clients)
        if granted:
            self.client_rate = rate / (len(granted) + own)
        else:
            self.client_rate = rate / (_RESERVED_CLIENTS if own else 1)
        self._granted: dict[Hashable, float] = dict.fromkeys(granted, self.client_rate)
        self._total = self.client_rate * len(granted)
        self._has_free_rate = False

    @property
    def clients(self) -> int:
        """How many clients have a share."""
        return len(self._granted)

    @property
    def own_rate(self) -> float:
        """Requests a second that the sidecar's own waiters may use."""
        return max(self.rate - self._total, self.rate * _MIN_OWN_SHARE)

    def __contains__(self, client: Hashable) -> bool:
        """Whether ``client`` has a share."""
        return client in self._granted

    def join(self, client: Hashable) -> None:
        """``client`` holds waiters, which was not known. Its share comes from the own one."""
        if client in self._granted:
            return
        share = self.client_rate
        self._granted[client] = share
        self._total += share
        # The next such client finds a share as well, and the own waiters keep some.
        free = self.rate - self._total
        parts = _RESERVED_CLIENTS if self._own and len(self._granted) < _RESERVED_CLIENTS else 2
        self.client_rate = max(
            min(self.client_rate, free / parts), self.rate * _MIN_OWN_SHARE / len(self._granted)
        )

    def leave(self, client: Hashable) -> None:
        """``client`` holds no waiters any more, or is gone."""
        if self._granted.pop(client, None) is not None:
            self._has_free_rate = True

    def set_own_waiters(self, *, present: bool) -> None:
        """Whether the sidecar has waiters of its own."""
        if present is not self._own:
            self._own = present
            self._has_free_rate = True

    def set_rate(self, rate: float) -> None:
        """From now on ``rate`` is divided."""
        self.client_rate *= rate / self.rate
        self.rate = rate
        self._has_free_rate = True

    def redistribute(self) -> bool:
        """Divide again what clients that left had; whether the offer has changed.

        The new offer is the largest with which the rate still covers what was granted before.
        """
        if not self._has_free_rate:
            return False
        self._has_free_rate = False
        self._total = sum(self._granted.values())
        if not self._granted:
            return False
        client_rate = self._largest_client_rate()
        if client_rate < self.client_rate * _MIN_GROWTH:
            return False
        self.client_rate = client_rate
        for client, share in self._granted.items():
            if share < client_rate:
                self._granted[client] = client_rate
        self._total = sum(self._granted.values())
        return True

    def _largest_client_rate(self) -> float:
        """The offer h for which the sum of max(granted, h), and h for own waiters, is the rate."""
        rest, parts = self.rate, len(self._granted) + self._own
        for share in sorted(self._granted.values(), reverse=True):
            if share * parts <= rest:
                break
            rest -= share
            parts -= 1
        return max(rest, 0.0) / parts if parts else 0.0
