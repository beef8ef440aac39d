"""The sizes of all measurements: the full form, and a short one that only shows that the benchmark works."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_WEIGHED = 100
"""The memory of fewer waiting requests is not measured: processes take and return whole pages."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of all measurements.

    Attributes:
        rounds: how often everything is measured.
        secs: seconds that wrk sends requests during other work.
        slices: how often wrk loads each of several servers in turn, for a second each time.
        connections: the numbers of wrk's connections.
        waiters: the numbers of parked requests.
        wakes: wake-ups per round for each number of parked requests.
        scopes: the numbers of scopes.
        few: waiters of one scope that is woken while the largest number of others stays parked.
        few_wakes: wake-ups of these waiters per round.
        scraped: scopes in an exposition.
        scrapes: scrapes per round.
        storm: alerts in a notification that arrives while the gate is measured.
        alerts: the numbers of alerts in one notification.
        webhooks: notifications of each size per round.
        checks: checks of the client's own gate per round.
        trips: requests to the sidecar's gate per round.
        tasks: tasks that wait at the client's gate.
        restricted: requests per second that a restricted gate admits.
        restricted_waiters: requests that wait at the restricted gate.
        clients: clients of the restricted gate, and requests that wait in each of them.
        restricted_secs: seconds that the restricted gate is measured.
        window_secs: length in seconds of the windows whose rates are compared.
        stalled: scopes, parked requests and alerts of one event, in two sizes.
        streams: event streams that are open during an event.
        ramp_per_sec: requests per second that a ramp admits.
        idle_secs: seconds without CPU time after which a server counts as idle.
        quiet_secs: the least seconds that are measured without an event, for comparison.
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
