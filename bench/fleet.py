"""Measures a fleet on one real Redis: how soon a pause at one sidecar has closed the gates of a thousand.

The followers are the product's own controllers and Redis stores, over real sockets, many in each of a few
processes. ``python -m bench.fleet`` prints each figure beside its bar; ``--short`` takes few of everything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sidecar.clock import SharedClock
from sidecar.core.commands import ClaimState, Pause, Resume
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store.redis import RedisSettings
from sidecar.store.redis.store import RedisStore

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.redis_server import RedisServer  # noqa: E402 - found by the line above

_PROCESSES = 4
_PAUSES = 20
_SETTLE_SECS = 1.0
_AT_ONCE = 500


async def start_sidecars(url: str, count: int) -> list[FleetController]:
    """So many sidecars without a web server, on the Redis at ``url``."""
    controllers = []
    for _ in range(count):
        clock = SharedClock()
        store = RedisStore(RedisSettings(url, timeout_secs=10.0))
        store.on_time = clock.follow
        controller = FleetController(PolicyTable(), store, clock=clock)
        await controller.start()
        controllers.append(controller)
    return controllers


async def follow(url: str, count: int) -> None:
    """A process of followers: prints, for each pause, when the last of them had closed its gate."""
    controllers = await start_sidecars(url, count)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        closings = _Closings(controllers, line)
        print("armed", flush=True)
        print(json.dumps(await closings.last()), flush=True)
    for controller in controllers:
        await controller.stop()


class _Closings:
    """Notes when each of the sidecars has closed the gate of ``scope``."""

    def __init__(self, controllers: list[FleetController], scope: str) -> None:
        self._scope = scope
        self._open = set(controllers)
        self._done = asyncio.Event()
        self._last = 0.0
        for controller in controllers:
            controller.on_gate_change = partial(self._check, controller)

    def _check(self, controller: FleetController) -> None:
        gate = controller.tree.gates.get(self._scope)
        if gate is not None and gate.closed and controller in self._open:
            self._open.discard(controller)
            self._last = time.time()
            if not self._open:
                self._done.set()

    async def last(self) -> float:
        """The time when the last one closed."""
        await self._done.wait()
        return self._last


async def measure_pauses(url: str, followers: list[subprocess.Popen[str]], pauses: int) -> list[float]:
    """Milliseconds from the acknowledged pause to the last closed gate, for each pause."""
    [one] = await start_sidecars(url, 1)
    loop = asyncio.get_running_loop()
    found = []
    for number in range(pauses):
        scope = f"measured/{number}"
        for process in followers:
            _send(process, scope)
        for process in followers:
            await loop.run_in_executor(None, _read, process)
        await one.submit(Pause(scope, "measured", "bench"))
        acknowledged = time.time()
        last = [float(await loop.run_in_executor(None, _read, process)) for process in followers]
        found.append(max(0.0, max(last) - acknowledged) * 1000)
        await one.submit(Resume(scope, "bench"))
        await asyncio.sleep(0.1)
    await one.stop()
    return found


async def measure_commands(url: str, sidecars: int, scopes: int) -> dict[str, float]:
    """Seconds for claims on as many scopes at once, and for commands of all sidecars on one scope."""
    controllers = await start_sidecars(url, sidecars)
    await asyncio.sleep(_SETTLE_SECS)
    began = time.perf_counter()
    await asyncio.gather(
        *(
            controllers[number % sidecars].submit(
                ClaimState(f"claims/{number}", "agent:bench", WellbeingState.CAUTIOUS)
            )
            for number in range(scopes)
        )
    )
    figures = {"claims_secs": time.perf_counter() - began}
    await asyncio.sleep(_SETTLE_SECS)
    began = time.perf_counter()
    await asyncio.gather(
        *(
            one.submit(ClaimState("one", f"agent:{number}", WellbeingState.CAUTIOUS))
            for number, one in enumerate(controllers)
        )
    )
    figures["one_scope_secs"] = time.perf_counter() - began
    await asyncio.sleep(_SETTLE_SECS)
    figures["lost"] = float(sum(sidecars - len(one.core_state.records["one"].signals) for one in controllers))
    for one in controllers:
        await one.stop()
    return figures


async def measure_start(url: str, scopes: int) -> float:
    """Seconds that a sidecar takes to load so many scopes."""
    [one] = await start_sidecars(url, 1)
    names = [f"many/{number}" for number in range(scopes)]
    for first in range(0, scopes, _AT_ONCE):
        claims = [
            ClaimState(name, "agent:bench", WellbeingState.CAUTIOUS) for name in names[first : first + 500]
        ]
        await asyncio.gather(*(one.submit(claim) for claim in claims))
    await one.stop()
    began = time.perf_counter()
    [one] = await start_sidecars(url, 1)
    secs = time.perf_counter() - began
    await one.stop()
    return secs


def _send(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return process.stdout.readline().strip()


def _show(what: str, value: float, unit: str, bar: float) -> None:
    print(f"{what:<64} {value:8.2f} {unit:<3} bar {bar:g} {unit}  {'met' if value <= bar else 'NOT MET'}")


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="bench.fleet", description=__doc__)
    parser.add_argument("--short", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--follow", nargs=2, metavar=("URL", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.follow:
        asyncio.run(follow(options.follow[0], int(options.follow[1])))
        return
    followers, pauses, sidecars, scopes, many = (
        (40, 5, 10, 50, 500) if options.short else (1_000, _PAUSES, 100, 1_000, 10_000)
    )
    random.seed(1)
    with ExitStack() as stack:
        url = stack.enter_context(RedisServer({"maxclients": "4000"})).url
        each = followers // _PROCESSES
        processes = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603 - this program
                    [sys.executable, "-m", "bench.fleet", "--follow", url, str(each)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
            )
            for _ in range(_PROCESSES)
        ]
        for process in processes:
            _read(process)
        found = sorted(asyncio.run(measure_pauses(url, processes, pauses)))
        for process in processes:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            process.stdin.close()
            process.wait(60)
        _show(f"pause -> the last of {followers} closed, p50", statistics.median(found), "ms", 30)
        _show(f"pause -> the last of {followers} closed, p99", found[-1], "ms", 60)
        figures = asyncio.run(measure_commands(url, sidecars, scopes))
        _show(
            f"{scopes} claims at once from {sidecars} sidecars",
            figures["claims_secs"],
            "s",
            0.5,
        )
        _show(f"{sidecars} sidecars command one scope at once", figures["one_scope_secs"], "s", 1.0)
        _show("claims of those that are missing afterwards", figures["lost"], "", 0)
        _show(f"start of a sidecar on {many} scopes", asyncio.run(measure_start(url, many)), "s", 2.0)


if __name__ == "__main__":
    main()
