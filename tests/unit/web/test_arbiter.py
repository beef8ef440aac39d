"""When the master considers its worker hung."""

from __future__ import annotations

import signal
from types import SimpleNamespace

from sidecar.web.arbiter import SidecarArbiter


class Master:
    """An arbiter with a clock that the test moves, one worker, and a list of killed workers."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.heartbeat = 0.0
        self.killed: list[tuple[int, int]] = []
        arbiter = self.arbiter = object.__new__(SidecarArbiter)
        arbiter.timeout = 60
        arbiter.WORKERS = {7: SimpleNamespace(tmp=SimpleNamespace(last_update=lambda: self.heartbeat))}
        arbiter._clock = lambda: self.now
        arbiter._checked_at = self.now
        arbiter._silent = {}
        arbiter.kill_worker = lambda pid, number: self.killed.append((pid, number))

    def look(self, after: float = 1.0, *, beat: bool = False) -> None:
        self.now += after
        if beat:
            self.heartbeat = self.now
        self.arbiter.murder_workers()


def test_a_worker_without_a_heartbeat_for_a_minute_is_killed_once_that_minute_is_over() -> None:
    master = Master()
    master.look(beat=True)
    for _ in range(60):
        master.look()
    assert master.killed == []
    master.look()
    assert master.killed == [(7, signal.SIGKILL)]


def test_a_heartbeat_restarts_the_minute() -> None:
    master = Master()
    master.look(beat=True)
    for _ in range(10):
        for _ in range(50):
            master.look()
        master.look(beat=True)
    assert master.killed == []


def test_time_while_the_master_was_suspended_does_not_count() -> None:
    master = Master()
    master.look(beat=True)
    for _ in range(5):
        master.look(after=100_000.0)
        master.look(beat=True)
    master.look(after=59.9)
    assert master.killed == []


def test_a_hung_worker_is_noticed_despite_suspensions_of_the_machine() -> None:
    master = Master()
    master.look(beat=True)
    looks = 0
    while not master.killed:
        master.look(after=3_600.0 if looks % 2 else 1.0)
        looks += 1
        assert looks < 30
    assert looks > 15


def test_a_worker_that_has_not_begun_to_serve_does_not_count_as_hung() -> None:
    master = Master()
    for _ in range(600):
        master.look()
    assert master.killed == []
