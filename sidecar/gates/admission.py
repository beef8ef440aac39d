"""Admission by a rate or by a count: which parked requests may pass, in the sidecar and in clients.

Rules of this file: it does not use the event loop, gates or connections. Time is an argument, in seconds of
any monotonic clock.

Theory of operation. A `Limiter` is one limit of one scope: a restriction, a resume ramp or a trial.
Its parent is the next limit on the way to the root. A request needs one token of its limiter and one of each
limiter above it. Clients keep no reserve of tokens: a client with waiting requests sends a *demand*, the
number of waiting requests by priority, and receives tokens as they become available. A token that is given to
a client counts as used, even if the client dies. So the sidecar and its clients together never exceed the
rate, and no shares have to be added up. A demand collects tokens for a moment before the client is answered.
Until then they are *held*: they still fill the bucket, so that no window of time has more than the rate and
the burst.

`admit` divides the tokens among the *parties*: the sidecar's own waiters are one, each demand is another.

- A higher priority always goes first. Lower priorities get what higher ones leave.
- Within a priority each party gets tokens in proportion to the number of its waiters (stride scheduling: a
  party's *pass* grows by 1 / waiters for each token, and the smallest pass is next). So no party starves.
- The sidecar's own waiters pass in order of arrival.

A client asks again after each answer, so its demand is absent for a moment. It may catch up on the tokens
that it missed in `_CATCH_UP_SECS`, but not more, so a client that was silent for long does not delay the
others.

A lower priority may starve. That is reported, not prevented: see `priorities`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from .priorities import PRIORITIES, PriorityTimes
from .tokens import TokenBucket, TokenCount

_CATCH_UP_SECS = 0.3
_MAX_PASSES = 4_096
"""Above this, the passes of clients that have no demand are forgotten."""
_FEW_STALE = 64
_NOTE_SECS = 0.5
"""How often the waiting priorities are recorded."""


class QueuedWaiter(Protocol):
    """A parked request of the sidecar. The limiter owns ``limiter`` and ``queue_id``.

    Attributes:
        priority: 0 to 9.
        parked_at: when it was parked.
        limiter: where it is queued; None: nowhere.
        queue_id: its current entry in the queue; entries with another id are stale.
    """

    priority: int
    parked_at: float
    limiter: Limiter | None
    queue_id: int


class Demand:
    """The waiters of one client.

    Args:
        client: the client and its scope.
        waiting: how many requests wait, by priority.

    Attributes:
        granted: tokens that were given since it was sent.
        held: where the granted tokens are held until the client is answered.
        limiter: where it is registered; None: nowhere.
    """

    __slots__ = ("client", "granted", "held", "limiter", "waiting")

    def __init__(self, client: object, waiting: Sequence[int]) -> None:
        self.client = client
        self.waiting = list(waiting)
        self.granted = 0
        self.held: list[TokenBucket | TokenCount] = []
        self.limiter: Limiter | None = None

    @property
    def total(self) -> int:
        """The number of requests that still wait."""
        return sum(self.waiting)


class Limiter:
    """One limit of one scope, with the requests that wait for it and for no limit further inside.

    Args:
        tokens: the rate or the number.

    Attributes:
        parent: the next limit on the way to the root.
        own: how many of the sidecar's own waiters are queued, by priority.
        demands: the demands of clients.
        in_clients: how many requests wait in them, by priority.
        ahead: how many requests needed a token of it when they were last counted, by priority: here, in
            clients, and at limiters further inside.
    """

    __slots__ = (
        "_heaps", "_noted_at", "_passes", "_virtual", "ahead", "demands", "in_clients", "own", "parent",
        "times", "tokens",
    )  # fmt: skip

    def __init__(self, tokens: TokenBucket | TokenCount) -> None:
        self.tokens = tokens
        self.parent: Limiter | None = None
        self.own = [0] * PRIORITIES
        self.demands: dict[Demand, None] = {}
        self.in_clients = [0] * PRIORITIES
        self.ahead = [0] * PRIORITIES
        self._heaps: list[list[tuple[float, int, QueuedWaiter]]] = [[] for _ in range(PRIORITIES)]
        # State of the stride scheduling; used only in a limiter without a parent.
        self._passes: dict[object, float] = {}
        self._virtual = 0.0
        self.times = PriorityTimes()
        self._noted_at = -math.inf

    @property
    def chain(self) -> Iterator[Limiter]:
        """The limiter itself and the limiters above it."""
        limiter: Limiter | None = self
        while limiter is not None:
            yield limiter
            limiter = limiter.parent

    @property
    def root(self) -> Limiter:
        """The limiter nearest to the root."""
        limiter = self
        while limiter.parent is not None:
            limiter = limiter.parent
        return limiter

    @property
    def waiting(self) -> list[int]:
        """How many requests wait here, own and in clients, by priority."""
        return [own + others for own, others in zip(self.own, self.in_clients, strict=True)]

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self.demands and not any(self.own)

    # -- arriving and leaving ---------------------------------------------------------------------

    def has_token(self, now: float) -> bool:
        """Whether each limiter of the chain has a token."""
        limiter: Limiter | None = self
        while limiter is not None:
            if limiter.tokens.available(now) <= 0:
                return False
            limiter = limiter.parent
        return True

    def pass_now(self, priority: int, now: float) -> bool:
        """Take a token for a request that arrives, unless requests of its priority or above wait for one."""
        for limiter in self.chain:
            if any(limiter.own[priority:]) or any(limiter.in_clients[priority:]):
                return False
        if not self.has_token(now):
            return False
        self.take(priority, now)
        return True

    def queue(self, waiter: QueuedWaiter, queue_id: int) -> None:
        """Queue ``waiter``, which is queued nowhere. ``queue_id``: a number that was never used before."""
        waiter.limiter = self
        waiter.queue_id = queue_id
        self.own[waiter.priority] += 1
        heap = self._heaps[waiter.priority]
        heapq.heappush(heap, (waiter.parked_at, queue_id, waiter))
        if len(heap) > 2 * self.own[waiter.priority] + _FEW_STALE:
            # Waiters that left by themselves must not fill the memory.
            heap[:] = [entry for entry in heap if self._is_queued(entry)]
            heapq.heapify(heap)

    def remove(self, waiter: QueuedWaiter) -> None:
        """Remove ``waiter``, which is queued here."""
        waiter.limiter = None
        self.own[waiter.priority] -= 1

    def register(self, demand: Demand, now: float) -> None:
        """Register ``demand``."""
        demand.limiter = self
        self.demands[demand] = None
        for priority, count in enumerate(demand.waiting):
            if count:
                self.in_clients[priority] += count
                self.times.see(priority, now)

    def withdraw(self, demand: Demand) -> None:
        """Remove ``demand``, which is registered here."""
        demand.limiter = None
        del self.demands[demand]
        for tokens in demand.held:
            tokens.held -= 1
        demand.held.clear()
        for priority, count in enumerate(demand.waiting):
            self.in_clients[priority] -= count

    def head(self, priority: int) -> tuple[float, int] | None:
        """The place of the first own waiter: when it was parked, and its id in the queue."""
        heap = self._heaps[priority]
        while heap and not self._is_queued(heap[0]):
            heapq.heappop(heap)
        return heap[0][:2] if heap else None

    def pop(self, priority: int) -> QueuedWaiter:
        """Remove the first own waiter; there is one."""
        waiter = heapq.heappop(self._heaps[priority])[2]
        self.remove(waiter)
        return waiter

    def _is_queued(self, entry: tuple[float, int, QueuedWaiter]) -> bool:
        _, queue_id, waiter = entry
        return waiter.limiter is self and waiter.queue_id == queue_id

    def take(self, priority: int, now: float) -> None:
        """Take a token of each limiter of the chain, for a request with ``priority``."""
        self.times.served_at[priority] = now
        limiter: Limiter | None = self
        while limiter is not None:
            limiter.tokens.take()
            limiter.times.passed_at[priority] = now
            limiter = limiter.parent

    # -- forecast ---------------------------------------------------------------------------------

    def secs_until_turn(self, priority: int) -> float:
        """Expected seconds until a request that arrives now gets a token of each limiter of the chain.

        That is the length of a queue, without lower priorities, divided by its rate. 0: no rate limits it.
        """
        secs = 0.0
        # The counts may be half a second old.
        queued = sum(self.own[priority:])
        for limiter in self.chain:
            rate = limiter.tokens.rate or limiter.tokens.limit
            if rate:
                secs = max(secs, (max(queued, sum(limiter.ahead[priority:])) + 1) / rate)
        return secs

    # -- starvation -------------------------------------------------------------------------------

    def note_waiting(self, now: float) -> None:
        """Record which priorities wait. Called often while something waits."""
        if now - self._noted_at < _NOTE_SECS:
            return
        self._noted_at = now
        for priority in range(PRIORITIES):
            if self.own[priority] or self.in_clients[priority]:
                self.times.see(priority, now)

    def starved(self, now: float) -> dict[int, float]:
        """The priorities that wait while only higher ones pass, and for how many seconds they have."""
        return self.times.starved((one.times for one in self.chain), now)

    # -- for the limiter without a parent ---------------------------------------------------------

    def pass_of(self, party: object, least: float) -> tuple[float, float]:
        """The pass of ``party``, at least ``least``, and without this limit; the smallest pair is next.

        Parties that wait for a limit further inside fall behind the others, and all of them have the pass
        ``least``. Then their own passes decide, so that each has its turn. A new party has the pass of the
        last admission.
        """
        own = self._passes.setdefault(party, self._virtual)
        return max(own, least), own

    def advance(self, party: object, before: float, weight: int) -> tuple[float, float]:
        """``party`` with ``weight`` waiters got a token at the pass ``before``; return its next pass."""
        self._virtual = max(self._virtual, before)
        after = self._passes[party] = before + 1.0 / weight
        return after, after

    def catch_up_from(self, weight: int) -> float:
        """The lowest pass that a party may have, if ``weight`` requests wait in total."""
        return self._virtual - _CATCH_UP_SECS * self.tokens.rate / weight

    def forget_passes(self, present: Iterable[object]) -> None:
        """Forget the passes of parties that are not ``present``, if there are many."""
        if len(self._passes) > _MAX_PASSES:
            self._passes = {party: self._passes[party] for party in present if party in self._passes}


_OWN = "own"
"""The party of the sidecar's own waiters; those of clients are their clients."""


def admit(limiters: Sequence[Limiter], now: float, most: int) -> list[QueuedWaiter | Demand]:
    """Admit requests with the tokens of ``limiters``, which have the same root.

    Args:
        limiters: the limiters at which requests wait.
        now: the time in seconds.
        most: how many requests to admit at most.

    Returns:
        The admitted waiters, and the demands, once for each token. The waiters are no longer queued.
    """
    root = limiters[0].root
    admitted: list[QueuedWaiter | Demand] = []
    for priority in _waiting_priorities(limiters):
        # At most as many pass as the root has tokens. Otherwise the last round would ask each party in vain.
        most = min(most, len(admitted) + root.tokens.available(now))
        if len(admitted) >= most:
            break
        _admit_priority(root, limiters, priority, now, most, admitted)
    root.forget_passes(chain((_OWN,), (demand.client for one in limiters for demand in one.demands)))
    return admitted


def _waiting_priorities(limiters: Iterable[Limiter]) -> list[int]:
    """The priorities of the requests that wait at ``limiters``, highest first."""
    found: set[int] = set()
    for one in limiters:
        own, in_clients = one.own, one.in_clients
        found.update([priority for priority in range(PRIORITIES) if own[priority] or in_clients[priority]])
    return sorted(found, reverse=True)


def _admit_priority(  # noqa: PLR0917 - one step of `admit`
    root: Limiter,
    limiters: Sequence[Limiter],
    priority: int,
    now: float,
    most: int,
    admitted: list[QueuedWaiter | Demand],
) -> None:
    own = sum([one.own[priority] for one in limiters])
    weight = own + sum([one.in_clients[priority] for one in limiters])
    if not weight:
        return
    heads = [(head, index) for index, one in enumerate(limiters) if (head := one.head(priority))]
    heapq.heapify(heads)
    demands = [demand for one in limiters for demand in one.demands if demand.waiting[priority]]
    least = root.catch_up_from(weight)
    parties = [
        (root.pass_of(demand.client, least), index, demand.waiting[priority])
        for index, demand in enumerate(demands)
    ]
    if heads:
        parties.append((root.pass_of(_OWN, least), -1, own))
    heapq.heapify(parties)
    while parties and len(admitted) < most:
        (before, _), index, share = parties[0]
        one: QueuedWaiter | Demand | None
        party: object
        if index < 0:
            one = _take_own(heads, limiters, priority, now)
            more, party = bool(heads), _OWN
        else:
            one = _take_demand(demands[index], priority, now)
            more, party = demands[index].waiting[priority] > 0, demands[index].client
        if one is None:
            heapq.heappop(parties)
            continue
        admitted.append(one)
        after = root.advance(party, before, share)
        if more:
            heapq.heapreplace(parties, (after, index, share))
        else:
            heapq.heappop(parties)


def _take_own(
    heads: list[tuple[tuple[float, int], int]], limiters: Sequence[Limiter], priority: int, now: float
) -> QueuedWaiter | None:
    """The first waiter whose limiters have tokens; limiters without tokens are dropped from ``heads``."""
    while heads:
        limiter = limiters[heads[0][1]]
        if not limiter.has_token(now):
            heapq.heappop(heads)
            continue
        limiter.take(priority, now)
        waiter = limiter.pop(priority)
        head = limiter.head(priority)
        if head is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (head, heads[0][1]))
        return waiter
    return None


def _take_demand(demand: Demand, priority: int, now: float) -> Demand | None:
    limiter = demand.limiter
    if limiter is None or not limiter.has_token(now):
        return None
    limiter.take(priority, now)
    for one in limiter.chain:
        one.tokens.held += 1
        demand.held.append(one.tokens)
    demand.waiting[priority] -= 1
    limiter.in_clients[priority] -= 1
    demand.granted += 1
    return demand
