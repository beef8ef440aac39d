"""What clients counted at their own copies of a gate, added to the gates' counters.

A client tells all that it has counted since it began, and what it was last told had arrived. So a report
that was lost, or came twice, costs nothing; and a sidecar that has just started knows what was counted
before it did.

For every gate the conservation law holds over both: a client's waiters are waiters of the gate. A client
that says nothing for three of its intervals is gone, and those who waited there have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from sidecar.clock import Clock
from sidecar.supervision import RepeatingTimer

from .counters import WAIT_BOUNDS, Counters
from .gate import Gate
from .tree import GateTree

GONE_INTERVALS = 3
_SWEEP_SECS = 1.0
_REMEMBER_SECS = 3600.0


class InvalidReport(ValueError):
    """Counts that cannot be."""


class TooManyClients(Exception):
    """No more can be remembered."""


@dataclass(frozen=True, slots=True)
class ReportedCounts:
    """What a client has counted since it began.

    Attributes:
        requests: every one.
        blocked: those that met a closed gate.
        waited: blocked, then let through.
        timed_out: blocked, and the wait ran out.
        abandoned: blocked, and given up.

    Raises:
        InvalidReport: more ended than were blocked, or more were blocked than there were.
    """

    requests: int = 0
    blocked: int = 0
    waited: int = 0
    timed_out: int = 0
    abandoned: int = 0

    def __post_init__(self) -> None:
        if self.waiting < 0:
            raise InvalidReport("waited, timed_out and abandoned are more than blocked")
        if self.blocked > self.requests:
            raise InvalidReport("blocked are more than requests")

    @property
    def waiting(self) -> int:
        """Blocked, and neither let through nor gone."""
        return self.blocked - self.waited - self.timed_out - self.abandoned

    def settled(self) -> ReportedCounts:
        """The same as if those who wait had not come yet."""
        waiting = self.waiting
        return ReportedCounts(
            self.requests - waiting, self.blocked - waiting, self.waited, self.timed_out, self.abandoned
        )


_NAMES = tuple(one.name for one in fields(ReportedCounts))


@dataclass(frozen=True, slots=True)
class ReportedWaits:
    """How long a client's waits of one outcome took, since it began.

    Attributes:
        counts: how many by bucket, the last one without a bound.
        secs: all of them together.

    Raises:
        InvalidReport: there are other buckets than the sidecar's.
    """

    counts: tuple[int, ...]
    secs: float

    def __post_init__(self) -> None:
        if len(self.counts) != len(WAIT_BOUNDS) + 1:
            raise InvalidReport(f"waits: must have {len(WAIT_BOUNDS) + 1} counts")


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One report.

    Attributes:
        client: its id; another one after each start.
        sequence: grows with each report.
        interval_secs: until the next.
        counts: all of them.
        acknowledged: the counts of the last report that was answered.
        waits: how long ended waits took, by outcome; empty: it does not tell.
    """

    client: str
    sequence: int
    interval_secs: float
    counts: ReportedCounts
    acknowledged: ReportedCounts
    waits: Mapping[str, ReportedWaits] = field(default_factory=dict)


class _Client:
    __slots__ = ("account", "counts", "gone", "heard_at", "interval_secs", "sequence", "waiting", "waits")

    def __init__(self, account: Gate, counts: ReportedCounts) -> None:
        self.account = account
        self.counts = counts
        self.sequence = -1
        self.heard_at = 0.0
        self.interval_secs = 0.0
        self.gone = False
        self.waits: Mapping[str, ReportedWaits] = {}
        self.waiting = False

    def waits_here(self, *, some: bool) -> None:
        """Whether it is among those of its account who have a share of the ramp."""
        self.account.clients_waiting += some - self.waiting
        self.waiting = some


class ClientReports:
    """Takes reports; belongs to the loop.

    Args:
        loop: runs the timer that finds who is gone.
        tree: whose gates count.
        counters: of the whole process.
        clock: tells the time.
        max_clients: who may be remembered at once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tree: GateTree,
        counters: Counters,
        clock: Clock,
        *,
        max_clients: int = 10_000,
    ) -> None:
        self._loop = loop
        self._tree = tree
        self._counters = counters
        self._clock = clock
        self.max_clients = max_clients
        self._clients: dict[tuple[str, str], _Client] = {}
        self._timer = RepeatingTimer(
            loop, _SWEEP_SECS, self._sweep, name="client_reports", failures=counters.task_failures
        )

    def stop(self) -> None:
        """Look no more for who is gone."""
        self._timer.stop()

    def take(self, scope: str, report: ClientReport) -> bool:
        """Count ``report`` of ``scope``; whether it is news.

        Raises:
            InvalidReport: the counts went back.
            TooManyClients: there is no room for another one.
        """
        key = (report.client, scope)
        client = self._clients.get(key)
        if client is not None and report.sequence <= client.sequence:
            self._counters.reports["repeated"] += 1
            return False
        if client is None:
            client = self._meet(scope, report)
        elif client.gone:
            # Who waited was counted as gone, and counts anew.
            client.counts = client.counts.settled()
        if any(getattr(report.counts, name) < getattr(client.counts, name) for name in _NAMES):
            raise InvalidReport("counts went back; a client that starts anew needs another id")
        self._clients[key] = client
        client.gone = False
        if not client.counts.waiting:
            client.account, _ = self._tree.find(scope)
        _add(client.account, client.counts, report.counts)
        client.waits_here(some=report.counts.waiting > 0)
        self._add_waits(client, report)
        client.counts = report.counts
        client.sequence = report.sequence
        client.interval_secs = report.interval_secs
        client.heard_at = self._clock.monotonic()
        self._counters.reports["accepted"] += 1
        return True

    def leave(self, scope: str, client: str) -> None:
        """A client is known to be gone."""
        known = self._clients.get((client, scope))
        if known is not None and not known.gone:
            self._part(known)

    def _add_waits(self, client: _Client, report: ClientReport) -> None:
        for outcome, waits in report.waits.items():
            before = client.waits.get(outcome)
            if before is None and report.acknowledged.requests:
                # What another run of the sidecar was told already is not news.
                continue
            histogram = self._counters.waits[outcome]
            for index, count in enumerate(waits.counts):
                histogram.counts[index] += max(0, count - (before.counts[index] if before else 0))
            histogram.total += max(0.0, waits.secs - (before.secs if before else 0.0))
        client.waits = report.waits

    def _part(self, client: _Client) -> None:
        client.gone = True
        self._counters.clients_gone += 1
        account, waiting = client.account, client.counts.waiting
        account.abandoned += waiting
        account.waiting -= waiting
        client.waits_here(some=False)

    def _meet(self, scope: str, report: ClientReport) -> _Client:
        if len(self._clients) >= self.max_clients:
            raise TooManyClients(f"{self.max_clients} clients report already")
        account, _ = self._tree.find(scope)
        return _Client(account, report.acknowledged.settled())

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        for key, client in list(self._clients.items()):
            silent = now - client.heard_at
            if not client.gone and silent > GONE_INTERVALS * client.interval_secs:
                self._part(client)
            elif client.gone and silent > max(_REMEMBER_SECS, GONE_INTERVALS * client.interval_secs):
                del self._clients[key]
        self._counters.clients = sum(not one.gone for one in self._clients.values())


def _add(gate: Gate, before: ReportedCounts, after: ReportedCounts) -> None:
    gate.requests += after.requests - before.requests
    gate.blocked += after.blocked - before.blocked
    gate.waited += after.waited - before.waited
    gate.timed_out += after.timed_out - before.timed_out
    gate.abandoned += after.abandoned - before.abandoned
    gate.waiting += after.waiting - before.waiting
