"""Adds the counts of client-side gates to the counters of the sidecar's gates.

A client reports its totals since it started, and the totals of its last acknowledged report. So a lost or
repeated report is harmless, and a sidecar that has just started knows which requests were already counted.

The conservation law holds for the sum of both: a client's waiters count as waiters of the gate. A client that
does not report for three of its intervals counts as gone, and its waiters count as abandoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from sidecar.clock import Clock
from sidecar.supervision import run_supervised
from sidecar.time_slice import TimeSlice

from .counters import WAIT_BOUNDS, Counters
from .gate import ScopeGate
from .tree import GateTree

GONE_INTERVALS = 3
_SWEEP_SECS = 1.0
_SLICE_SECS = 0.001
_REMEMBER_SECS = 3600.0


class InvalidReport(ValueError):
    """Counts that contradict each other."""


class TooManyClients(Exception):
    """The limit of reporting clients is reached."""


@dataclass(frozen=True, slots=True)
class ReportedCounts:
    """The totals of a client since it started.

    Attributes:
        requests: all requests.
        blocked: requests that met a closed gate.
        waited: blocked requests that were let through.
        timed_out: blocked requests whose wait timed out.
        abandoned: blocked requests whose callers stopped waiting.
        succeeded: admitted requests that succeeded, as far as the client knows.
        failed: admitted requests that failed, as far as the client knows.

    Raises:
        InvalidReport: more requests ended than were blocked, or more were blocked than arrived.
    """

    requests: int = 0
    blocked: int = 0
    waited: int = 0
    timed_out: int = 0
    abandoned: int = 0
    succeeded: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        if self.waiting < 0:
            raise InvalidReport("the sum of waited, timed_out and abandoned is more than blocked")
        if self.blocked > self.requests:
            raise InvalidReport("blocked is more than requests")

    @property
    def waiting(self) -> int:
        """Blocked requests that still wait."""
        return self.blocked - self.waited - self.timed_out - self.abandoned

    def without_waiting(self) -> ReportedCounts:
        """The same counts without the requests that still wait."""
        waiting = self.waiting
        return replace(self, requests=self.requests - waiting, blocked=self.blocked - waiting)


_NAMES = tuple(one.name for one in fields(ReportedCounts))


@dataclass(frozen=True, slots=True)
class ReportedWaits:
    """The durations of a client's waits with one outcome, since it started.

    Attributes:
        counts: waits by bucket; the last bucket has no upper bound.
        secs: the sum of all waits in seconds.

    Raises:
        InvalidReport: the number of buckets is wrong.
    """

    counts: tuple[int, ...]
    secs: float

    def __post_init__(self) -> None:
        if len(self.counts) != len(WAIT_BOUNDS) + 1:
            raise InvalidReport(f"waits: must have {len(WAIT_BOUNDS) + 1} counts")


@dataclass(frozen=True, slots=True)
class ReportedTrial:
    """The outcomes of the requests that a client admitted in a trial, since the trial began.

    Attributes:
        id: the id of the trial, from the answer that admitted the requests; empty: there was no trial.
        succeeded: how many succeeded.
        failed: how many failed.
    """

    id: str = ""
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One report.

    Attributes:
        client: the client's id; a new one after each start.
        sequence: grows with each report.
        interval_secs: seconds until the next report.
        counts: the totals since the client started.
        acknowledged: the totals of the last acknowledged report.
        waits: the durations of ended waits, by outcome; empty: the client does not report them.
        trial: the outcomes of a trial.
    """

    client: str
    sequence: int
    interval_secs: float
    counts: ReportedCounts
    acknowledged: ReportedCounts
    waits: Mapping[str, ReportedWaits] = field(default_factory=dict)
    trial: ReportedTrial = ReportedTrial()


class _Client:
    """A client that reports.

    Attributes:
        account: the gate that counts its waiters.
        gate: the gate of its scope at the time of its last report.
    """

    __slots__ = (
        "account",
        "counts",
        "gate",
        "gone",
        "interval_secs",
        "reported_at",
        "sequence",
        "trial",
        "waits",
    )

    def __init__(self, account: ScopeGate, counts: ReportedCounts) -> None:
        self.account = account
        self.gate = account
        self.counts = counts
        self.sequence = -1
        self.reported_at = 0.0
        self.interval_secs = 0.0
        self.gone = False
        self.waits: Mapping[str, ReportedWaits] = {}
        self.trial = ReportedTrial()


class ClientReports:
    """Receives client reports. Everything runs in the event loop.

    Args:
        loop: runs the task that finds clients that are gone.
        tree: the gates, which have the counters.
        counters: the counters of the whole process.
        clock: the time source.
        max_clients: maximum number of clients that may be known at once.
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
        self._tree = tree
        self._counters = counters
        self._clock = clock
        self.max_clients = max_clients
        self._clients: dict[tuple[str, str], _Client] = {}
        # The clients among them that are gone, the longest gone first.
        self._gone: dict[tuple[str, str], None] = {}
        self._sweeper = loop.create_task(
            run_supervised("client_reports", self._sweep, counters.task_failures)
        )

    def stop(self) -> None:
        """Stop the task that finds clients that are gone."""
        self._sweeper.cancel()

    def take(self, scope: str, report: ClientReport) -> bool:
        """Add ``report`` for ``scope`` to the counters.

        Returns:
            Whether the report was new; false: it was repeated.

        Raises:
            InvalidReport: a count decreased.
            TooManyClients: the limit of clients is reached.
        """
        key = (report.client, scope)
        client = self._clients.get(key)
        if client is not None and report.sequence <= client.sequence:
            self._counters.reports["repeated"] += 1
            return False
        counts = report.acknowledged.without_waiting() if client is None else client.counts
        if client is not None and client.gone:
            # The client's waiters were counted as abandoned. They count as new waiters now.
            counts = counts.without_waiting()
        if any(getattr(report.counts, name) < getattr(counts, name) for name in _NAMES):
            raise InvalidReport("a count decreased; a restarted client needs a new id")
        home, _ = self._tree.find(scope)
        if client is None:
            client = self._add_client(key, home, counts)
        client.counts = counts
        client.gone = False
        self._gone.pop(key, None)
        if not counts.waiting:
            client.account = home
        _add(client.account, counts, report.counts)
        self._follow(key, client, home, waiting=report.counts.waiting > 0)
        self._add_waits(client, report)
        self._add_trial(client, report.trial)
        client.counts = report.counts
        client.sequence = report.sequence
        client.interval_secs = report.interval_secs
        client.reported_at = self._clock.monotonic()
        self._counters.reports["accepted"] += 1
        return True

    def client_gone(self, scope: str, client: str) -> None:
        """Record that a client is gone."""
        key = (client, scope)
        known = self._clients.get(key)
        if known is not None and not known.gone:
            self._mark_gone(key, known)

    def _follow(self, key: tuple[str, str], client: _Client, home: ScopeGate, *, waiting: bool) -> None:
        """Record that ``client`` follows ``home``, and whether it holds waiters."""
        if client.gate is not home:
            client.gate.clients.pop(key, None)
            client.gate = home
        home.clients[key] = waiting

    def _add_waits(self, client: _Client, report: ClientReport) -> None:
        for outcome, waits in report.waits.items():
            before = client.waits.get(outcome)
            if before is None and report.acknowledged.requests:
                # An earlier run of the sidecar has counted these waits.
                continue
            histogram = self._counters.waits[outcome]
            for index, count in enumerate(waits.counts):
                histogram.counts[index] += max(0, count - (before.counts[index] if before else 0))
            histogram.total += max(0.0, waits.secs - (before.secs if before else 0.0))
        client.waits = report.waits

    def _add_trial(self, client: _Client, trial: ReportedTrial) -> None:
        before = client.trial if client.trial.id == trial.id else ReportedTrial()
        succeeded, failed = trial.succeeded - before.succeeded, trial.failed - before.failed
        client.trial = trial
        if succeeded > 0 or failed > 0:
            admission = self._tree.waiting_room.admission
            admission.report_outcomes(client.gate, trial.id, max(0, succeeded), max(0, failed))

    def _add_client(self, key: tuple[str, str], home: ScopeGate, counts: ReportedCounts) -> _Client:
        if len(self._clients) >= self.max_clients:
            # Clients that are gone must not take the place of new ones. If they return, their reports contain
            # the acknowledged counts.
            oldest = next(iter(self._gone), None)
            if oldest is None:
                raise TooManyClients(f"{self.max_clients} clients report already")
            self._forget(oldest)
        client = self._clients[key] = _Client(home, counts)
        return client

    def _mark_gone(self, key: tuple[str, str], client: _Client) -> None:
        client.gone = True
        self._gone[key] = None
        self._counters.clients_gone += 1
        account, waiting = client.account, client.counts.waiting
        account.abandoned += waiting
        account.waiting -= waiting
        client.gate.clients.pop(key, None)

    async def _sweep(self) -> None:
        """Once a second, find clients that are gone, and forget clients that have been gone for long."""
        while True:
            await asyncio.sleep(_SWEEP_SECS)
            present = 0
            time_slice = TimeSlice(_SLICE_SECS, _SLICE_SECS)
            # Not `items()`: ten thousand new pairs would start garbage collections.
            for key in list(self._clients):
                client = self._clients.get(key)
                if client is not None:
                    self._check_client(key, client, self._clock.monotonic())
                    present += not client.gone
                if time_slice.expired:
                    await time_slice.yield_to_others()
            self._counters.clients = present

    def _check_client(self, key: tuple[str, str], client: _Client, now: float) -> None:
        silent = now - client.reported_at
        if not client.gone and silent > GONE_INTERVALS * client.interval_secs:
            self._mark_gone(key, client)
        elif client.gone and silent > max(_REMEMBER_SECS, GONE_INTERVALS * client.interval_secs):
            self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        self._clients.pop(key, None)
        self._gone.pop(key, None)


def _add(gate: ScopeGate, before: ReportedCounts, after: ReportedCounts) -> None:
    gate.requests += after.requests - before.requests
    gate.blocked += after.blocked - before.blocked
    gate.waited += after.waited - before.waited
    gate.timed_out += after.timed_out - before.timed_out
    gate.abandoned += after.abandoned - before.abandoned
    gate.waiting += after.waiting - before.waiting
    gate.succeeded += after.succeeded - before.succeeded
    gate.failed += after.failed - before.failed
