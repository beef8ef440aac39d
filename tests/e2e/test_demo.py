"""The shipped vLLM rules, unchanged but for their times, close and open the gate of a simulated engine."""

from __future__ import annotations

import time

from demo.stage import SCOPE, Stage
from harness.process import eventually


def test_an_engine_that_is_stuck_is_paused_and_recovers_by_itself() -> None:
    times = {}

    def timed(name: str, began: float) -> None:
        times[name] = round(time.monotonic() - began, 1)

    with Stage() as stage:
        sidecar = stage.sidecar
        stage.load.per_sec = 8
        eventually(lambda: stage.load.statuses.get(200, 0) > 10, "the engine serves")
        assert sidecar.status(SCOPE)["gate"] == "open"
        began = time.monotonic()
        stage.fault("stuck")
        eventually(lambda: (stage.prometheus.value("vllm:num_requests_waiting") or 0) > 5, "the queue grows")
        timed("fault to queue", began)
        eventually(lambda: sidecar.status(SCOPE)["gate"] == "closed", "the gate closes", 120)
        timed("fault to closed gate", began)
        [signal, *_] = [one for one in sidecar.status(SCOPE)["signals"] if one["state"] == "distressed"]
        assert "serves nothing while" in signal["reason"]
        eventually(lambda: sidecar.counters(SCOPE)["waiters"] > 10, "the load waits")
        began = time.monotonic()
        stage.fault("none")
        eventually(lambda: sidecar.status(SCOPE)["gate"] == "open", "the gate opens", 120)
        timed("mended to open gate", began)
        stage.load.per_sec = 0
        eventually(lambda: sidecar.counters(SCOPE)["waiters"] == 0, "nobody waits")
        eventually(lambda: stage.load.asked == sum(stage.load.statuses.values()), "all are answered", 60)
        assert set(stage.load.statuses) == {200}, "nobody was refused"
        assert sidecar.counters(SCOPE)["requests_timed_out"] == 0
    print(times)
