"""Ramps, with requests that wait in clients of a real sidecar."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.clients import close_gate, wait_for_equal_counts
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from sidecar.client import Gate


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    config = {
        "defaults": {"pause_on_distressed": True, "max_pause_secs": 0},
        "policies": [
            {"match": "ramp", "resume_ramp_per_sec": 0.1},
            {"match": "ramp-too", "resume_ramp_per_sec": 0.1},
            {"match": "shared", "resume_ramp_per_sec": 10},
        ],
    }
    with Sidecar(config) as running:
        yield running


class AdmissionOrder:
    """The order in which waiters were admitted. Half of them are threads, half are tasks of one loop."""

    def __init__(self, gate: Gate, count: int) -> None:
        self.order: list[int] = []
        self._gate = gate
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        for number in range(count):
            if number % 2:
                asyncio.run_coroutine_threadsafe(self._task(number), self._loop)
            else:
                threading.Thread(target=self._thread, args=(number,), daemon=True).start()
            eventually(lambda want=number + 1: gate.counts["blocked"] >= want, "the request waits")

    def _thread(self, number: int) -> None:
        self._gate.wait(60)
        self.order.append(number)

    async def _task(self, number: int) -> None:
        await self._gate.wait_async(60)
        self.order.append(number)


def test_a_ramp_lets_requests_that_wait_in_a_client_through_in_order(sidecar: Sidecar) -> None:
    # One request per ten seconds: one request passes each time that the gate opens. The next one would pass
    # only after the test.
    with Gate(sidecar.url, scope="ramp", report_secs=0.2) as gate:
        close_gate(sidecar, gate)
        passed = AdmissionOrder(gate, 5)
        for number in range(3):
            sidecar.resume("ramp")
            eventually_equal(lambda: gate.counts["waited"], number + 1, "the next request passes")
            assert gate.is_open
            gate.wait(0)  # a request at an open gate passes
            close_gate(sidecar, gate, "again")
        wait_for_equal_counts(sidecar, gate)
    eventually_equal(lambda: len(passed.order), 5, "a closed client keeps no request")
    assert passed.order[:3] == [0, 1, 2]


def test_a_request_whose_wait_ends_during_a_ramp_passes(sidecar: Sidecar) -> None:
    with Gate(sidecar.url, scope="ramp-too", report_secs=0.2) as gate:
        sidecar.claim("ramp-too", "cautious")
        close_gate(sidecar, gate)
        passed = AdmissionOrder(gate, 2)
        with ThreadPoolExecutor() as pool:
            last = pool.submit(gate.wait, 1.5)
            eventually_equal(lambda: gate.counts["blocked"], 3, "the request waits")
            sidecar.resume("ramp-too")
            last.result(60)
        assert gate.counts["timed_out"] == 0
        wait_for_equal_counts(sidecar, gate)
    eventually_equal(lambda: len(passed.order), 2, "a closed client keeps no request")


def test_clients_share_a_ramp(sidecar: Sidecar) -> None:
    scope = "shared"
    gates = [Gate(sidecar.url, scope=scope, report_secs=0.2) for _ in range(2)]
    try:
        for gate in gates:
            close_gate(sidecar, gate)
        passed = [AdmissionOrder(gate, 3) for gate in gates]
        eventually_equal(lambda: sidecar.counters(scope)["waiters"], 6, "both clients have reported")
        sidecar.resume(scope)
        answer = sidecar.get(f"/v1/watch/{scope}")
        eventually(lambda: all(len(each.order) == 3 for each in passed), "all requests pass")
        assert [each.order for each in passed] == [[0, 1, 2]] * 2
        assert float(answer.headers["Wellbeing-Ramp-Per-Sec"]) == 10, (
            "the header has the rate of all clients together"
        )
        assert "Wellbeing-Ramp-Per-Sec" not in sidecar.get("/v1/watch/elsewhere").headers
        eventually_equal(lambda: sidecar.counters(scope)["requests_waited"], 6, "the counts add up")
    finally:
        for gate in gates:
            gate.close()
