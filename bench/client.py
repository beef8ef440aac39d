"""What a check of an open gate costs a worker, beside a round trip; and how fast tasks are woken."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import sys
import time
import timeit
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness.sidecar import Sidecar
from sidecar.client import Gate

_CHECKS = 200_000
_TRIPS = 2_000


def per_check(call: Any, rounds: int) -> list[float]:  # noqa: ANN401 - anything that can be called
    """Nanoseconds a call, once a round."""
    return [secs / _CHECKS * 1e9 for secs in timeit.repeat(call, number=_CHECKS, repeat=rounds)]


def per_trip(sidecar: Sidecar, rounds: int) -> list[float]:
    """Nanoseconds a request to the open gate, over a connection that is kept alive, once a round."""
    connection = http.client.HTTPConnection(*sidecar.where)
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(_TRIPS):
            connection.request("GET", "/v1/gate/bench")
            connection.getresponse().read()
        found.append((time.perf_counter() - began) / _TRIPS * 1e9)
    connection.close()
    return found


async def wake(sidecar: Sidecar, gate: Gate, tasks: int) -> float:
    """Seconds from asking for a resume until the last of ``tasks`` goes on."""
    await asyncio.to_thread(sidecar.pause, "bench")
    while gate.is_open:  # noqa: ASYNC110 - a thread tells
        await asyncio.sleep(0.001)
    waiting = [asyncio.create_task(gate.wait_async(60)) for _ in range(tasks)]
    while gate.counts["blocked"] - gate.counts["waited"] < tasks:  # noqa: ASYNC110 - they are parked soon
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    resume = asyncio.create_task(asyncio.to_thread(sidecar.resume, "bench"))
    await asyncio.gather(*waiting)
    took = time.perf_counter() - began
    await resume
    return took


def measure(rounds: int, tasks: int) -> dict[str, Any]:
    """All figures."""
    with Sidecar() as sidecar, Gate(sidecar.url, scope="bench", max_waiting=10**6) as gate:
        gate.wait()
        trips = per_trip(sidecar, rounds)
        wait, is_open = per_check(gate.wait, rounds), per_check(lambda: gate.is_open, rounds)
        woken = [asyncio.run(wake(sidecar, gate, tasks)) for _ in range(rounds)]
    ratios = [trip / check for trip, check in zip(trips, wait, strict=True)]
    return {
        "gate.wait(), open, ns": spread(wait),
        "gate.is_open in a lambda, ns": spread(is_open),
        "round trip to the open gate, ns": spread(trips),
        "round trip / gate.wait()": spread(ratios),
        f"{tasks} tasks woken, ms": spread([secs * 1e3 for secs in woken]),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
    }


def main() -> int:
    """Print a table, write JSON where asked to, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.rounds, options.tasks)
    for name, values in figures.items():
        print(f"{name:36} {values['median']:>12,} ({values['least']:,} to {values['most']:,})")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    missed = []
    if figures["gate.wait(), open, ns"]["least"] > 150:  # noqa: PLR2004 - the bar
        missed.append("a check of an open gate costs more than 150 ns")
    if figures["round trip / gate.wait()"]["median"] < 200:  # noqa: PLR2004 - the bar
        missed.append("a check of an open gate is less than 200 times cheaper than a round trip")
    for one in missed:
        print(f"missed: {one}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
