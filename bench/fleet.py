"""Measures a fleet on one real Redis: how soon a pause at one sidecar closes the gates of all.

The sidecars are the product's own controllers and Redis stores, over real sockets, many in each of a few
processes. ``python -m bench.fleet`` prints each figure with its bar; ``--short`` takes small sizes,
``--only pauses,commands,start,outage,gate`` some of the parts.
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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import uvloop

from sidecar.clock import SharedClock
from sidecar.core.commands import ClaimState, Pause, Resume
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.runtime.fleet_controller import FleetController
from sidecar.runtime.garbage import GarbageCollection
from sidecar.store import StoreUnavailable
from sidecar.store.redis import RedisSettings
from sidecar.store.redis.store import RedisStore

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.redis_server import RedisServer  # noqa: E402 - found by the line above
from harness.sidecar import Sidecar  # noqa: E402

from .load import wrk  # noqa: E402

_PROCESSES = 4
_PAUSES = 20
_SETTLE_SECS = 1.0
_LEAD_SECS = 0.3
"""Seconds between sending an order and carrying it out, so that all processes have received it."""
_AT_ONCE = 500
_STARTED_AT_ONCE = 20
_DOWN_SECS = 30.0


async def start_sidecars(url: str, count: int) -> list[FleetController]:
    """Start sidecars without a web server, on the Redis at ``url``."""
    controllers: list[FleetController] = []
    while len(controllers) < count:
        some = [_new_sidecar(url) for _ in range(min(_STARTED_AT_ONCE, count - len(controllers)))]
        await asyncio.gather(*(one.start() for one in some))
        controllers += some
    return controllers


def _new_sidecar(url: str) -> FleetController:
    clock = SharedClock()
    store = RedisStore(RedisSettings(url, timeout_secs=10.0))
    store.on_time = clock.follow
    return FleetController(PolicyTable(), store, clock=clock)


async def follow(url: str, count: int) -> None:
    """A process of followers: prints, for each pause, when the last of them had closed its gate."""
    controllers = await start_sidecars(url, count)
    async for scope in _orders(controllers):
        closings = _Closings(controllers, scope)
        print("armed", flush=True)
        print(json.dumps(await closings.last()), flush=True)
    for controller in controllers:
        await controller.stop()


async def command(url: str, count: int, number: int) -> None:
    """A process of sidecars that command: prints for each order when it was done, and what was refused.

    Args:
        url: the Redis.
        count: how many sidecars.
        number: which of the processes this is.
    """
    controllers = await start_sidecars(url, count)
    async for order in _orders(controllers):
        what, at, each = json.loads(order)
        if what == "rest":
            await _until(lambda: all(_is_level(one) for one in controllers))
            print("rested", flush=True)
            continue
        if what == "count":
            print(json.dumps([len(one.core_state.records["one"].signals) for one in controllers]), flush=True)
            continue
        names = [f"{number}-{sidecar}-{claim}" for sidecar in range(count) for claim in range(each)]
        claims = [
            ClaimState("one" if what == "one" else f"claims/{name}", f"agent:{name}", WellbeingState.CAUTIOUS)
            for name in names
        ]
        await asyncio.sleep(at - time.time())
        answers = await asyncio.gather(
            *(controllers[index // each].submit(claim) for index, claim in enumerate(claims)),
            return_exceptions=True,
        )
        refused = [repr(one) for one in answers if isinstance(one, BaseException)]
        print(json.dumps([time.time(), refused]), flush=True)
    for controller in controllers:
        await controller.stop()


def _is_level(controller: FleetController) -> bool:
    fleet = controller.counters.fleet
    return fleet is not None and fleet.applied == fleet.known


async def _orders(controllers: list[FleetController]) -> AsyncIterator[str]:
    """The lines of the standard input."""
    loop = asyncio.get_running_loop()
    # As the server does when it is ready.
    GarbageCollection(loop, controllers[0].counters.task_failures)
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        yield line


class _Closings:
    """Notes when each of the sidecars has closed the gate of ``scope``."""

    def __init__(self, controllers: list[FleetController], scope: str) -> None:
        self._scope = scope
        self._open = set(controllers)
        self._done = asyncio.Event()
        self._last = 0.0
        for controller in controllers:
            # Called in the step in which the gate closes: its scope is new.
            controller.on_structure_change = partial(self._check, controller)

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
    GarbageCollection(loop, one.counters.task_failures)
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
        # A pause is measured on a fleet at rest. On two cores, a thousand sidecars need a third of a second
        # for all that follows from a commit.
        await asyncio.sleep(_SETTLE_SECS)
    await one.stop()
    return found


def measure_commands(processes: list[subprocess.Popen[str]], what: str, each: int) -> tuple[float, list[str]]:
    """Seconds until ``each`` claims of each sidecar, all submitted at once, are answered; and the refusals.

    Args:
        processes: those of the sidecars.
        what: ``many``: each claim on a scope of its own; ``one``: all on one scope.
        each: claims of each sidecar.
    """
    rest(processes)
    at = time.time() + _LEAD_SECS
    for process in processes:
        _send(process, json.dumps([what, at, each]))
    answers = [json.loads(_read(process)) for process in processes]
    return max(done for done, _ in answers) - at, [one for _, refused in answers for one in refused]


def rest(processes: list[subprocess.Popen[str]]) -> None:
    """Wait until all sidecars have applied all commits."""
    time.sleep(_SETTLE_SECS)
    for process in processes:
        _send(process, json.dumps(["rest", 0, 0]))
    for process in processes:
        _read(process)


def count_signals(processes: list[subprocess.Popen[str]]) -> list[int]:
    """How many claims each sidecar knows on the scope that all have commanded."""
    rest(processes)
    for process in processes:
        _send(process, json.dumps(["count", 0, 0]))
    return [count for process in processes for count in json.loads(_read(process))]


async def measure_start(url: str, scopes: int) -> float:
    """Seconds that a sidecar takes to load the scopes."""
    [one] = await start_sidecars(url, 1)
    names = [f"many/{number}" for number in range(scopes)]
    for first in range(0, scopes, _AT_ONCE):
        claims = [
            ClaimState(name, "agent:bench", WellbeingState.CAUTIOUS)
            for name in names[first : first + _AT_ONCE]
        ]
        await asyncio.gather(*(one.submit(claim) for claim in claims))
    await one.stop()
    began = time.perf_counter()
    [one] = await start_sidecars(url, 1)
    secs = time.perf_counter() - began
    await one.stop()
    return secs


async def measure_outage(redis: RedisServer, sidecars: int, secs: float, how: str) -> tuple[float, int]:
    """Redis is away: seconds from its return until all sidecars have caught up, and wrong gates meanwhile.

    Args:
        redis: the server.
        sidecars: how many there are.
        secs: for how long it is away.
        how: ``suspend`` (SIGSTOP), ``kill``, or ``wipe`` (killed, its data deleted).
    """
    controllers = await start_sidecars(redis.url, sidecars)
    await controllers[0].submit(Pause("stays", "measured", "bench", 0.0))
    await controllers[0].submit(Pause("ends", "measured", "bench", secs / 2))
    await _until(lambda: all(_closed(one, "stays") and _closed(one, "ends") for one in controllers))
    loop = asyncio.get_running_loop()
    if how == "suspend":
        redis.suspend()
    else:
        redis.kill()
    if how == "wipe":
        redis.wipe()
    await asyncio.sleep(secs)
    wrong = sum(not _closed(one, "stays") or _closed(one, "ends") for one in controllers)
    if how == "suspend":
        redis.resume()
    else:
        await loop.run_in_executor(None, redis.restart)
    began = time.perf_counter()
    await _until(lambda: all(one.counters.store_up for one in controllers))
    await _until(lambda: "stays" in redis.cli("hkeys", "{wellbeing}:scopes"))
    await _repeat(controllers[-1], Resume("stays", "bench"))
    await _until(lambda: not any(_closed(one, "stays") for one in controllers))
    found = time.perf_counter() - began
    for one in controllers:
        await one.stop()
    return found, wrong


async def _repeat(controller: FleetController, command: Resume) -> None:
    """Repeat ``command`` until it is carried out, as a client does that is answered 503."""
    while True:
        try:
            await controller.submit(command)
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            return


def _closed(controller: FleetController, scope: str) -> bool:
    gate = controller.tree.gates.get(scope)
    return gate is not None and gate.closed


async def _until(condition: Callable[[], bool], secs: float = 60.0) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("it did not happen within a minute")
        await asyncio.sleep(0.02)


def measure_gate(url: str, rounds: int) -> float:
    """Requests a second at an open gate on Redis, as a part of those on SQLite; measured in turn."""
    with Sidecar({}, store="sqlite:bench.db") as file, Sidecar({}, store=url) as fleet:
        addresses = [(host, int(port)) for one in (file, fleet) for host, _, port in [_address(one)]]
        workers = [_worker(one) for one in (file, fleet)]
        found: list[list[float]] = [[], []]
        for turn in range(2 * rounds):
            which = turn % 2 if turn // 2 % 2 else 1 - turn % 2
            load = wrk(addresses[which], "/v1/gate", 8, 1, worker=workers[which])
            found[which].append(load.per_sec)
    return statistics.median(found[1]) / statistics.median(found[0])


def _address(sidecar: Sidecar) -> tuple[str, str, str]:
    return sidecar.url.removeprefix("http://").rpartition(":")


def _worker(sidecar: Sidecar) -> int:
    """The process that serves: the child of gunicorn's arbiter."""
    pid = sidecar._popen.pid  # noqa: SLF001 - of the harness
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0]) if children else pid


def _send(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return process.stdout.readline().strip()


def _show(what: str, value: float, unit: str, bar: float) -> None:
    met = "met" if value <= bar else "NOT MET"
    print(f"{what:<64} {value:8.2f} {unit:<3} bar {bar:g} {unit}  {met}", flush=True)


@dataclass(frozen=True, slots=True)
class _Sizes:
    followers: int = 1_000
    pauses: int = _PAUSES
    sidecars: int = 100
    claims: int = 1_000
    scopes: int = 10_000
    down_secs: float = _DOWN_SECS
    rounds: int = 8


_SHORT = _Sizes(40, 5, 10, 50, 500, 4.0, 2)


@contextmanager
def _sidecars(redis: RedisServer, what: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes with ``count`` sidecars together; ``what``: ``follow`` or ``command``."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603 - this program
                    [sys.executable, "-m", "bench.fleet", "--part", what, redis.url, str(each), str(number)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
            )
            for number in range(_PROCESSES)
            if (each := (count + number) // _PROCESSES)
        ]
        began = time.perf_counter()
        for process in processes:
            _read(process)
        print(f"{count} sidecars started in {time.perf_counter() - began:.1f} s", file=sys.stderr)
        yield processes
        for process in processes:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            process.stdin.close()
            process.wait(60)


def _pauses(redis: RedisServer, sizes: _Sizes) -> None:
    with _sidecars(redis, "follow", sizes.followers) as processes:
        found = sorted(uvloop.run(measure_pauses(redis.url, processes, sizes.pauses)))
    _show(f"pause -> the last of {sizes.followers} closed, p50", statistics.median(found), "ms", 30)
    _show(f"pause -> the last of {sizes.followers} closed, p99", found[-1], "ms", 60)


def _commands(redis: RedisServer, sizes: _Sizes) -> None:
    with _sidecars(redis, "command", sizes.sidecars) as processes:
        secs, refused = measure_commands(processes, "many", sizes.claims // sizes.sidecars)
        _show(f"{sizes.claims} claims at once from {sizes.sidecars} sidecars", secs, "s", 0.5)
        _show("  refused", len(refused), "", 0)
        secs, refused_one = measure_commands(processes, "one", 1)
        _show(f"{sizes.sidecars} sidecars command one scope at once", secs, "s", 1.0)
        _show("  refused", len(refused_one), "", 0)
        counts = count_signals(processes)
    for why in sorted({*refused, *refused_one}):
        print(f"  {why}", flush=True)
    missing = max(sizes.sidecars - len(refused_one) - count for count in counts)
    _show("  acknowledged claims that a sidecar does not know afterwards", max(0, missing), "", 0)


def _start(redis: RedisServer, sizes: _Sizes) -> None:
    secs = uvloop.run(measure_start(redis.url, sizes.scopes))
    _show(f"start of a sidecar on {sizes.scopes} scopes", secs, "s", 2.0)


def _outage(redis: RedisServer, sizes: _Sizes) -> None:
    for how, what in (("suspend", "SIGSTOP"), ("kill", "SIGKILL"), ("wipe", "wiped")):
        secs, wrong = uvloop.run(measure_outage(redis, 5, sizes.down_secs, how))
        _show(f"Redis back after {sizes.down_secs:g} s ({what}) -> all caught up", secs, "s", 5.0)
        _show("  gates that were wrong meanwhile", wrong, "", 0)
        redis.cli("flushall")


def _gate(redis: RedisServer, sizes: _Sizes) -> None:
    ratio = measure_gate(redis.url, sizes.rounds)
    print(f"{'a gate request on Redis, compared with SQLite':<64} {ratio:8.3f}     bar 1.0 +- 0.05")


_PARTS = {"pauses": _pauses, "commands": _commands, "start": _start, "outage": _outage, "gate": _gate}


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="bench.fleet", description=__doc__)
    parser.add_argument("--short", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--only", default=",".join(_PARTS), help="parts, as pauses,commands")
    parser.add_argument("--followers", type=int, help="how many sidecars follow a pause (default 1,000)")
    parser.add_argument("--part", nargs=4, metavar=("WHAT", "URL", "COUNT", "NUMBER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        what, url, count, number = options.part
        uvloop.run(follow(url, int(count)) if what == "follow" else command(url, int(count), int(number)))
        return
    parts = options.only.split(",")
    if unknown := set(parts) - _PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    sizes = _SHORT if options.short else _Sizes()
    if options.followers:
        sizes = replace(sizes, followers=options.followers)
    random.seed(1)
    for name in parts:
        with RedisServer({"maxclients": "4000"}) as redis:
            _PARTS[name](redis, sizes)


if __name__ == "__main__":
    main()
