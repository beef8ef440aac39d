"""Counters of the whole process. The counters of a scope belong to its gate."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.core.commands import AlertOutcome
from sidecar.supervision import Failures

from .priorities import PRIORITIES

WAIT_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
REACTION_BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
COMMIT_BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

REFUSALS = (
    "body-too-large", "cross-site", "forbidden", "header-too-large", "invalid-request",
    "notification-too-large", "too-many-attempts", "too-many-clients", "too-many-connections",
    "too-many-scopes", "too-many-signals", "too-many-streams", "too-many-waiters", "too-many-watchers",
    "too-slow", "unauthorized",
)  # fmt: skip
WAIT_OUTCOMES = ("waited", "timed_out", "abandoned", "rejected")


class Histogram:
    """Counts of observations by upper bound, in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, secs: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, secs)] += 1
        self.total += secs

    def observe_all(self, each: Iterable[float]) -> None:
        """Count each observation in ``each``."""
        bounds, counts = self.bounds, self.counts
        for secs in each:
            counts[bisect_left(bounds, secs)] += 1
            self.total += secs

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Each upper bound, up to infinity, with the cumulative count."""
        count = 0
        for bound, here in zip((*self.bounds, float("inf")), self.counts, strict=True):
            count += here
            yield bound, count


@dataclass(slots=True)
class FleetCounters:
    """The counters and the state of a sidecar as a member of a fleet.

    Attributes:
        sidecar_id: identifies this process.
        leader: whether this sidecar is the leader.
        leader_id: the leader; empty: not known.
        term: the term of the leader.
        applied: number of the last commit that was applied.
        known: number of the newest commit that this sidecar knows of.
        lag_secs: seconds from the last commit of another sidecar to its arrival here.
        clock_offset_secs: how far the store's clock is ahead of this machine's.
        conflicts: how often a batch was decided again, because another sidecar was first.
        loads: how often the state was loaded again as a whole.
        went_back: how often the store lost commits that were applied here.
        offered: lost records that this sidecar wrote again.
        owed: records that still have to be written again.
        changes: commits of others that were applied.
        last_known: whether the state comes from the local file.
    """

    sidecar_id: str = ""
    leader: bool = False
    leader_id: str = ""
    term: int = 0
    applied: int = 0
    known: int = 0
    lag_secs: float = 0.0
    clock_offset_secs: float = 0.0
    conflicts: int = 0
    loads: int = 0
    went_back: int = 0
    offered: int = 0
    owed: int = 0
    changes: int = 0
    last_known: bool = False


class Counters:
    """Plain numbers. The loop writes them, and the metrics' collector reads them in the loop."""

    def __init__(self) -> None:
        self.waits = {outcome: Histogram(WAIT_BOUNDS) for outcome in WAIT_OUTCOMES}
        # How waits ended, by priority.
        self.by_priority = [dict.fromkeys(WAIT_OUTCOMES, 0) for _ in range(PRIORITIES)]
        self.reaction = Histogram(REACTION_BOUNDS)
        self.commits = Histogram(COMMIT_BOUNDS)
        self.notifications: Counter[str] = Counter(
            {"accepted": 0, "invalid": 0, "unauthorized": 0, "unavailable": 0}
        )
        self.alerts: Counter[tuple[str, str]] = Counter(
            {(status, one.value): 0 for status in ("firing", "resolved") for one in AlertOutcome}
        )
        self.last_notification_at = 0.0
        self.reconciliations: Counter[str] = Counter({"done": 0, "unreachable": 0, "failed": 0})
        self.corrections: Counter[str] = Counter({"raised": 0, "ended": 0})
        self.reconciled_at = 0.0
        self.alertmanagers: dict[str, bool | None] = {}
        self.blind = False
        # The name of the watchdog's alert (empty: none is configured), and whether it was received since
        # then.
        self.watchdog = ("", False)
        self.lags: deque[float] = deque(maxlen=15)
        self.reports: Counter[str] = Counter({"accepted": 0, "repeated": 0, "invalid": 0, "refused": 0})
        # Refused requests by the name of the problem: for example too large, too many, too slow, not allowed.
        self.refusals: Counter[str] = Counter(dict.fromkeys(REFUSALS, 0))
        self.clients = 0
        self.clients_gone = 0
        self.store_up = True
        self.task_failures = Failures()
        self.store_errors = 0
        # None: the store is not shared.
        self.fleet: FleetCounters | None = None
