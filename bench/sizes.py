"""The sizes of all measurements: the full form, and a short one that only shows that the benchmark works."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_WEIGHED = 100
"""The memory of fewer waiting requests is not measured: processes take and return whole pages."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of all measurements.

    Attributes:
        rounds: how often all is measured.
        secs: how long wrk asks while something else goes on.
        slices: how often it asks each of several servers in turn, for a second.
        connections: how many wrk has.
        waiters: how many are parked.
        wakes: how often those are woken a round, by how many they are.
        scopes: how many there are.
        few: waiters of one scope, while the most of others are parked.
        few_wakes: how often they are woken a round.
        scraped: scopes of an exposition.
        scrapes: of it, a round.
        storm: alerts of a webhook that comes while the gate is asked.
        alerts: of one webhook.
        webhooks: how many of each a round.
        checks: of the client's own gate, a round.
        trips: to the sidecar's, a round.
        tasks: that wait at the client's.
        restricted: requests per second that a restricted gate admits.
        restricted_waiters: how many wait at it.
        clients: how many clients it has, and how many requests wait in each.
        restricted_secs: for how long it is watched.
        window_secs: the rate is compared in every window of so many seconds.
        stalled: scopes, parked requests and alerts of one event, in two sizes.
        streams: event streams that are open meanwhile.
        ramp_per_sec: waiters that a ramp lets through.
        idle_secs: how long a server has used no CPU time when it counts as idle.
        quiet_secs: how long nothing happens beside an event, at least.
    """

    rounds: int
    secs: int
    slices: int
    connections: tuple[int, int]
    waiters: tuple[int, ...]
    wakes: tuple[int, ...]
    scopes: tuple[int, ...]
    few: int
    few_wakes: int
    scraped: int
    scrapes: int
    storm: int
    alerts: tuple[int, ...]
    webhooks: tuple[int, ...]
    checks: int
    trips: int
    tasks: int
    restricted: float
    restricted_waiters: int
    clients: tuple[int, int]
    restricted_secs: float
    window_secs: float
    stalled: tuple[int, int]
    streams: int
    ramp_per_sec: int
    quiet_secs: float
    idle_secs: float

    @property
    def most_waiters(self) -> int:
        """The largest number of parked requests."""
        return self.waiters[-1]

    @property
    def weighed_waiters(self) -> tuple[int, ...]:
        """The sizes of ``waiters`` at which memory is measured."""
        return tuple(count for count in self.waiters if count >= FEWEST_WEIGHED)


FULL = Sizes(
    rounds=5,
    secs=2,
    slices=3,
    connections=(1, 32),
    waiters=(100, 1_000, 10_000),
    wakes=(5, 5, 9),
    scopes=(1, 100, 10_000),
    few=100,
    few_wakes=9,
    scraped=1_000,
    scrapes=8,
    storm=1_000,
    alerts=(1, 100, 10_000),
    webhooks=(150, 20, 2),
    checks=200_000,
    trips=2_000,
    tasks=10_000,
    restricted=1_000.0,
    restricted_waiters=10_000,
    clients=(8, 1_000),
    restricted_secs=15.0,
    window_secs=5.0,
    stalled=(1_000, 10_000),
    streams=1_000,
    ramp_per_sec=5_000,
    quiet_secs=0.5,
    idle_secs=0.15,
)

SHORT = Sizes(
    rounds=1,
    secs=1,
    slices=1,
    connections=(1, 4),
    waiters=(5, 20, 300),
    wakes=(2, 2, 2),
    scopes=(1, 20),
    few=5,
    few_wakes=3,
    scraped=20,
    scrapes=2,
    storm=20,
    alerts=(1, 5, 20),
    webhooks=(5, 3, 2),
    checks=5_000,
    trips=100,
    tasks=100,
    restricted=100.0,
    restricted_waiters=50,
    clients=(2, 20),
    restricted_secs=2.0,
    window_secs=1.0,
    stalled=(10, 40),
    streams=12,
    ramp_per_sec=100,
    quiet_secs=0.05,
    idle_secs=0.03,
)
