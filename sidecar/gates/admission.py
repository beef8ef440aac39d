"""Admission at a rate: how many requests per second may pass, in the sidecar and its clients together.

Rules of this file: it does not use the event loop, gates or connections. Time is an argument, in seconds of
any monotonic clock.

Two parts:

- `TokenBucket` admits the sidecar's own waiters: at most rate * T + burst in any window of T seconds.
- `RateShares` divides one rate between the sidecar and the clients that hold their own waiters. At any moment
  the sum of all shares is at most the rate.

How the shares work. All clients receive one number, the *client rate*: how many requests per second each may
admit. A client may use the rate that it received until it has no waiters left or is gone. So the share of a
client never shrinks while it takes part, even if a later client rate is smaller: the client may not have
received the later one, and older clients ignore it. The sidecar's own waiters get the rest. The client rate
grows when clients leave.

No waiter is stuck: if the whole rate is granted, the sidecar's own waiters get an extra hundredth of it until
a client leaves.

A client that was unknown when the ramp began is granted the client rate at the time of its first report. It
may have received a larger rate before. Only because of such clients can the sum exceed the rate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

BURST_SECS = 0.1
_RESERVED_CLIENTS = 10
"""While no client is known, the client rate leaves room for this many."""
_MIN_OWN_SHARE = 0.01
_MIN_GROWTH = 1.05


class TokenBucket:
    """A token bucket. It starts with one token.

    Args:
        rate: tokens per second; may be 0.
        now: the time in seconds.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = 1.0
        self._at = now

    @property
    def burst(self) -> float:
        """The capacity of the bucket: the tokens of a tenth of a second, at least one."""
        return max(1.0, self.rate * BURST_SECS)

    def set_rate(self, rate: float, now: float) -> None:
        """Set the rate to ``rate`` tokens per second from ``now`` on."""
        self._fill(now)
        self.rate = rate
        self._tokens = min(self._tokens, self.burst)

    def take(self, limit: int, now: float) -> int:
        """Take up to ``limit`` whole tokens; return how many were taken."""
        self._fill(now)
        # A timer that fires on time must not miss its token by a rounding error.
        taken = min(limit, int(self._tokens + 1e-9))
        self._tokens = max(0.0, self._tokens - taken)
        return taken

    def secs_until_token(self, now: float) -> float:
        """Seconds until a whole token is available; infinite if the rate is 0."""
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
        rate: requests per second, all shares together; above 0.
        clients: the clients that hold waiters, or may hold some.
        own: whether the sidecar has its own waiters.

    Attributes:
        rate: requests per second, all shares together.
        client_rate: how many requests per second each client may let through.
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
        """Requests per second for the sidecar's own waiters."""
        return max(self.rate - self._total, self.rate * _MIN_OWN_SHARE)

    def __contains__(self, client: Hashable) -> bool:
        """Whether ``client`` has a share."""
        return client in self._granted

    def join(self, client: Hashable) -> None:
        """Give ``client``, which holds waiters, a share. It is taken from the sidecar's own share."""
        if client in self._granted:
            return
        share = self.client_rate
        self._granted[client] = share
        self._total += share
        # Leave a share for the next such client and for the sidecar's own waiters.
        free = self.rate - self._total
        parts = _RESERVED_CLIENTS if self._own and len(self._granted) < _RESERVED_CLIENTS else 2
        self.client_rate = max(
            min(self.client_rate, free / parts), self.rate * _MIN_OWN_SHARE / len(self._granted)
        )

    def leave(self, client: Hashable) -> None:
        """Remove the share of ``client``, which holds no waiters any more or is gone."""
        if self._granted.pop(client, None) is not None:
            self._has_free_rate = True

    def set_own_waiters(self, *, present: bool) -> None:
        """Set whether the sidecar has its own waiters."""
        if present is not self._own:
            self._own = present
            self._has_free_rate = True

    def set_rate(self, rate: float) -> None:
        """Set the rate that is divided."""
        self.client_rate *= rate / self.rate
        self.rate = rate
        self._has_free_rate = True

    def redistribute(self) -> bool:
        """Divide the shares of clients that left; return whether the client rate has changed.

        The new client rate is the largest for which all shares still fit into the rate.
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
        """The rate h for which max(share, h) of all clients, plus h for own waiters, sums to the rate."""
        rest, parts = self.rate, len(self._granted) + self._own
        for share in sorted(self._granted.values(), reverse=True):
            if share * parts <= rest:
                break
            rest -= share
            parts -= 1
        return max(rest, 0.0) / parts if parts else 0.0
