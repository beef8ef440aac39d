"""g. The cost of checking an open gate in a worker, beside a round trip; and how fast tasks wake."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
import timeit
from collections.abc import Callable

from bench.peers import Ours
from bench.stage import Stage
from bench.talk import TOKEN
from sidecar.client import Gate

_SCOPE = "s/0"
_REPEATS = 3


def measure(stage: Stage, _: int) -> dict[str, float]:
    """Measure checks, round trips and wake-ups."""
    server, sizes = stage.ours(), stage.sizes
    with Gate(server.url, scope=_SCOPE, token=TOKEN, max_waiting=10**6) as gate:
        gate.wait()
        check = per_check(gate.wait, sizes.checks)
        trip = per_trip(server, sizes.trips)
        woken = asyncio.run(wake(server, gate, sizes.tasks))
    return {"client.check": check, "client.trip": trip, "client.woken": woken * 1e3}


def per_check(call: Callable[[], object], checks: int) -> float:
    """Nanoseconds per call."""
    return statistics.median(timeit.repeat(call, number=checks, repeat=_REPEATS)) / checks * 1e9


def per_trip(server: Ours, trips: int) -> float:
    """Nanoseconds per request to the open gate, on a keep-alive connection."""
    connection = http.client.HTTPConnection(*server.where)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    began = time.perf_counter()
    for _ in range(trips):
        connection.request("GET", f"/v1/gate/{_SCOPE}", headers=headers)
        connection.getresponse().read()
    took = time.perf_counter() - began
    connection.close()
    return took / trips * 1e9


async def wake(server: Ours, gate: Gate, tasks: int) -> float:
    """Seconds from sending a resume until the last of ``tasks`` continues."""
    await asyncio.to_thread(server.pause, _SCOPE)
    while gate.is_open:  # noqa: ASYNC110 - a thread tells
        await asyncio.sleep(0.001)
    waiting = [asyncio.create_task(gate.wait_async(60)) for _ in range(tasks)]
    while gate.counts["blocked"] - gate.counts["waited"] < tasks:  # noqa: ASYNC110 - they are parked soon
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    resume = asyncio.create_task(asyncio.to_thread(server.resume, _SCOPE))
    await asyncio.gather(*waiting)
    took = time.perf_counter() - began
    await resume
    return took
