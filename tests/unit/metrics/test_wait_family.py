"""The histogram of waits follows every change of the counters."""

from __future__ import annotations

from sidecar.gates.counters import Counters
from sidecar.metrics.process import _WaitFamily


def sum_of(waits: _WaitFamily, counters: Counters) -> float:
    [sample] = [
        one
        for one in waits.family(counters).samples
        if one.name.endswith("_sum") and one.labels["outcome"] == "waited"
    ]
    return sample.value


def test_waiting_seconds_without_a_count_are_exposed() -> None:
    counters, waits = Counters(), _WaitFamily()
    counters.waits["waited"].observe(1.0)
    assert sum_of(waits, counters) == 1.0
    counters.waits["waited"].total += 2.5
    assert sum_of(waits, counters) == 3.5
