"""The parts of the client that need no sidecar."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import Counter
from random import Random
from typing import cast

import pytest

from sidecar.client import Settings, fork_safety
from sidecar.client.admission import AdmissionThread
from sidecar.client.closing import CloseBudget
from sidecar.client.connection import Connection
from sidecar.client.errors import Unreachable
from sidecar.client.fork_safety import PerProcess, flag_cleared_by_fork
from sidecar.client.pacing import PollPacer, backoff_secs
from sidecar.client.reporter import Reporter
from sidecar.client.request_counts import RequestCounts
from sidecar.client.snapshot import Advice, GateSnapshot, spread_retry_after, spread_turn
from sidecar.supervision import Failures


def test_counts_from_many_threads_are_complete() -> None:
    counts = RequestCounts()

    def work() -> None:
        for _ in range(20_000):
            counts.passed()
            if counts.block(1000):
                counts.end("waited", 0.5)
            counts.read()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.read() == {
        "requests": 160_000,
        "blocked": 80_000,
        "waited": 80_000,
        "timed_out": 0,
        "abandoned": 0,
        "succeeded": 0,
        "failed": 0,
    }


def test_a_request_beyond_the_limit_counts_as_timed_out() -> None:
    counts = RequestCounts()
    assert counts.block(1)
    assert not counts.block(1)
    assert counts.waiting == 1
    assert counts.read()["timed_out"] == 1


def test_polls_slow_down_only_without_changes() -> None:
    pacer = PollPacer(20.0, 15.0, Random(1))
    assert pacer.pause_secs(0.001, changed=True) == 0
    pauses = [pacer.pause_secs(0.001, changed=False) for _ in range(6)]
    assert 1 <= pauses[0] <= 2
    assert 2.5 <= pauses[-1] <= 5
    assert pacer.pause_secs(19.9, changed=False) == 0, "a poll that waited needs no pause"
    assert 1 <= pacer.pause_secs(0.001, changed=False) <= 2, "the pauses start again from the shortest"
    pacer.pause_secs(19.9, changed=True)
    assert {pacer.pause_secs(0.001, changed=True) for _ in range(20)} == {0.0}
    assert pacer.pause_secs(0.001, changed=True) == 0.1, "a flood of changes is slowed down"


@pytest.mark.parametrize("make", [flag_cleared_by_fork, fork_safety._PidFlag])
def test_a_flag_is_cleared_in_a_forked_child_and_kept_in_the_parent(make) -> None:
    flag = make()
    assert flag[0] == 0
    flag[0] = 1
    pid = os.fork()
    if pid == 0:
        before, flag[0] = flag[0], 1
        os._exit(before * 2 + (1 - flag[0]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert flag[0] == 1
    flag[0] = 0
    assert flag[0] == 0


def test_each_process_creates_its_value_once() -> None:
    started = []
    values = PerProcess(object, started.append)
    barrier = threading.Barrier(8)
    found = []

    def work() -> None:
        barrier.wait()
        found.append(values.get())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == len(started) == 1


def test_a_value_whose_start_fails_is_created_again() -> None:
    tries = iter([RuntimeError("can't start new thread"), None])

    def start(_) -> None:
        if error := next(tries):
            raise error

    values = PerProcess(object, start)
    with pytest.raises(RuntimeError):
        values.get()
    assert values.get() is values.peek()


def test_the_time_to_close_many_gates_is_limited() -> None:
    budget = CloseBudget()
    allowed = []
    for _ in range(100):
        allowed.append(budget.allowance())
        budget.spend(allowed[-1])
    assert sum(allowed) < 10
    assert allowed[0] == 3


@pytest.mark.parametrize("secs", range(1, 11))
def test_clients_refused_together_get_different_retry_times(secs: int) -> None:
    random = Random(1)
    spread = Counter(spread_retry_after(secs, random) for _ in range(1000))
    assert len(spread) == 6
    assert min(spread) == min(secs, 5)
    assert max(spread) <= 10
    assert max(spread.values()) < 300


@pytest.mark.parametrize(
    ("secs", "least", "most"), [(0.01, 1, 2), (9.5, 10, 15), (42, 42, 63), (1e9, 300, 450)]
)
def test_retry_times_follow_the_expected_admission(secs: float, least: int, most: int) -> None:
    random = Random(1)
    spread = [spread_turn(secs, random) for _ in range(2000)]
    assert (min(spread), max(spread)) == (least, most)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": True},
        {"version": 1.5},
        {"scope": None},
        {"effective_state": 1},
        {"held_by": 0},
        {"since": []},
        {"advice": "yes"},
        {"advice": {"reason": "slow", "since": None, "until": None}},
    ],
)
def test_a_snapshot_has_the_right_types(changed) -> None:
    members = {"scope": "", "gate": "open", "state": "healthy", "effective_state": "healthy", "version": 1}
    assert GateSnapshot.of(members).is_open
    with pytest.raises(ValueError, match=next(iter(changed))):
        GateSnapshot.of({**members, **changed})


def test_a_snapshot_contains_the_advice() -> None:
    members = {"scope": "", "gate": "open", "state": "healthy", "effective_state": "healthy", "version": 1}
    assert GateSnapshot.of(members).advice is None
    given = {"reason": "slow", "since": "2026-11-27T12:00:00.000Z", "until": None}
    assert GateSnapshot.of({**members, "advice": {**given, "new": 1}}).advice == Advice(**given)


@pytest.mark.parametrize(
    ("until", "wanted"), [(None, 10), ("1970-01-01T00:00:13Z", 3), ("1970-01-01T00:00:01Z", 1), ("x", 10)]
)
def test_retry_after_is_derived_from_the_end_of_the_pause(until, wanted) -> None:
    snapshot = GateSnapshot("a", "closed", "healthy", "healthy", "r", None, until, "a", None, 1)
    assert snapshot.retry_after(10.0) == wanted


def test_many_clients_that_lost_their_sidecar_reconnect_at_different_times() -> None:
    random = Random(1)
    for failures, ceiling in ((1, 1.0), (4, 8.0), (50, 15.0)):
        pauses = [backoff_secs(failures, random) for _ in range(1000)]
        assert 0.05 <= min(pauses) < ceiling * 0.1
        assert ceiling * 0.9 < max(pauses) <= ceiling
        tenths = Counter(int(pause / ceiling * 10) for pause in pauses)
        assert max(tenths.values()) < 200, "no more than twice a fair share at once"


def test_a_slow_response_is_given_up_at_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x" * 70_000 if stop.is_set() else b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        connection = Connection(Settings(url=f"http://127.0.0.1:{server.getsockname()[1]}"))
        try:
            with pytest.raises(Unreachable):
                connection.request("GET", "watch", timeout=0.5)
        finally:
            connection.close()
            stop.set()
            thread.join()


class _RefusingReporter:
    client = "host:1:abc"

    def send(self, *_: object) -> bool:
        return False


def test_a_refused_outcome_report_is_retried_with_growing_delays() -> None:
    thread = AdmissionThread(
        Settings.of({"url": "http://127.0.0.1:1"}),
        cast("Reporter", _RefusingReporter()),
        lambda: None,
        lambda *_: None,
        Failures(logging.getLogger("test"), "failed"),
    )
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            if len(pauses) == 6:
                self.set()
            return self.is_set()

    class Longest(Random):
        def uniform(self, _: float, b: float) -> float:
            return b

    thread._stop, thread._random, thread._outcome = Stop(), Longest(), True
    thread._work(cast("Connection", None))
    assert pauses == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
