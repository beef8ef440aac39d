"""The client's gate when its sidecar is lost, hangs or restarts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from sidecar.client import Gate, InferencePaused


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Sidecar]:
    config = {"defaults": {"max_pause_secs": 0}}
    with Sidecar(config, store="sqlite:state.db", folder=tmp_path, port=free_port()) as running:
        yield running


@pytest.mark.parametrize("policy", ["open", "closed"])
@pytest.mark.parametrize("was", ["open", "closed"])
def test_without_its_sidecar_a_client_uses_the_last_known_state_and_then_its_fallback(
    own: Sidecar, policy: str, was: str
) -> None:
    if was == "closed":
        own.pause("a", "before")
    with Gate(own.url, scope="a", unreachable=policy, stale_after_secs=1.5, report_secs=0.2) as gate:
        eventually(lambda: gate.snapshot, "the client has a snapshot")
        assert gate.is_open is (was == "open")
        own.kill()
        eventually(lambda: gate.health.reachable is False, "the loss is noticed")
        assert (gate.is_open is (was == "open")) or gate.health.fallback, (
            "the client uses the last known state"
        )
        eventually(lambda: gate.health.fallback, "the last known state is stale")
        assert gate.is_open is (policy == "open")
        if policy == "closed":
            with pytest.raises(InferencePaused, match="unreachable"):
                gate.wait(0.05)
        own.session.close()
        own.restart()
        eventually(lambda: gate.health.reachable, "the sidecar is back")
        eventually(lambda: gate.is_open is (was == "open"), "the client follows the gate again")
        assert not gate.health.fallback


def test_a_sidecar_that_hangs_delays_no_request_longer_than_its_wait(own: Sidecar) -> None:
    with Gate(own.url, scope="a", unreachable="closed", stale_after_secs=1, report_secs=0.5) as gate:
        gate.wait()
        os.kill(own.worker_pid, signal.SIGSTOP)
        try:
            eventually(lambda: gate.health.fallback, "the client notices the hang")
            began = time.monotonic()
            with pytest.raises(InferencePaused):
                gate.wait(0.3)
            assert time.monotonic() - began < 5
        finally:
            os.kill(own.worker_pid, signal.SIGCONT)
        eventually(lambda: gate.is_open, "the sidecar is back")
        gate.wait(0)


def test_a_client_that_never_reached_a_sidecar_uses_its_fallback_at_once() -> None:
    for policy in ("open", "closed"):
        with Gate(f"http://127.0.0.1:{free_port()}", unreachable=policy, report_secs=0) as gate:
            if policy == "open":
                gate.wait(20)
            else:
                with pytest.raises(InferencePaused, match="unreachable"):
                    gate.wait(0.5)


def test_restarts_under_load_lose_no_request_and_no_count(own: Sidecar) -> None:
    stop = threading.Event()
    outcomes = {"passed": 0, "paused": 0}
    lock = threading.Lock()
    with Gate(own.url, scope="a", stale_after_secs=30, report_secs=0.1) as gate:

        def work() -> None:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    gate.wait(0.2)
                    outcome = "passed"
                    stop.wait(0.001)
                except InferencePaused:
                    outcome = "paused"
                assert time.monotonic() - began < 10
                with lock:
                    outcomes[outcome] += 1

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(3):
            own.pause("a", f"round {number}")
            eventually(lambda: not gate.is_open, "closed")
            own.kill()
            own.session.close()
            own.restart()
            eventually(lambda: gate.health.reachable, "back")
            assert not gate.is_open
            own.resume("a")
            eventually(lambda: gate.is_open, "open")
        stop.set()
        for thread in threads:
            thread.join()
        counts = gate.counts
        assert counts["requests"] == sum(outcomes.values())
        assert counts["timed_out"] == outcomes["paused"]
        assert counts["blocked"] == counts["waited"] + counts["timed_out"]
        before = own.counters("a")["requests_total"]
        eventually_equal(lambda: own.counters("a")["waiters"], 0, "the last report arrives")
        assert before <= counts["requests"]
