"""d. The gate's latency during other work, and the cost of a scrape."""

from __future__ import annotations

import itertools
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from bench.load import wrk
from bench.notify import notification
from bench.parked import Parked
from bench.peers import Nginx, Ours, objects
from bench.stage import Stage, by_turns, warm
from bench.talk import Connection, request

from .opened import GATE, named

_SCRAPE = request("GET", "/metrics")
_SERVED = request("GET", "/served")
_PARKED = "parked"
_STORM_SCOPES = 100
_MAY_DIFFER = 0.01
"""How much the number of series may differ: the sidecar has a few series that appear only with use."""


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Measure the gate on one connection, without and with other work; then measure scrapes."""
    server = stage.ours(stage.sizes.scraped, 0)
    with Connection(server.where) as connection:
        # Each scope has a signal, so that it has series.
        connection.ask(
            notification(
                stage.sizes.scraped, firing=True, scopes=stage.sizes.scraped, prefix="s", state="concerned"
            )
        )
    warm(server.where, GATE)
    found: dict[str, float] = {}
    disturbances: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "quiet": nullcontext,
        "scrape": lambda: _goes_on(server, lambda _: _SCRAPE),
        "scrape_a_second": lambda: _goes_on(server, lambda _: _SCRAPE, pause=1.0),
        "webhook": lambda: _goes_on(server, lambda number: _storm(stage, number)),
        "parked": lambda: _parked(stage, server),
        "commit": lambda: _goes_on(server, _claim),
    }
    for name, disturbance in by_turns(turn, disturbances.items()):
        with disturbance():
            answered = wrk(server.where, GATE, 1, stage.sizes.secs, worker=server.worker_pid)
        found |= named("while", name, answered)
        server.machine.settle(server.pid)
    return found | _served(stage, server) | _scrapes(stage, server, turn)


def _served(stage: Stage, server: Ours) -> dict[str, float]:
    """Measure nginx while it serves as many bytes as a scrape, to know what the bytes and the load cost."""
    nginx = stage.nginx()
    with Connection(server.where) as connection:
        nginx.serve(connection.ask(_SCRAPE).body)
    with _goes_on(nginx, lambda _: _SERVED):
        answered = wrk(nginx.where, GATE, 1, stage.sizes.secs, worker=nginx.worker_pid)
    return named("while", "nginx", answered)


def _storm(stage: Stage, number: int) -> bytes:
    return notification(stage.sizes.storm, firing=number % 2 == 0, scopes=_STORM_SCOPES, prefix="storm")


def _claim(number: int) -> bytes:
    state = ("concerned", "cautious")[number % 2]
    return request("PUT", "/v1/state/claimed", f'{{"state": "{state}"}}'.encode())


@contextmanager
def _goes_on(server: Ours | Nginx, data: Callable[[int], bytes], pause: float = 0.0) -> Iterator[None]:
    """Send requests one after the other, ``pause`` seconds apart, until the block ends."""
    ended = threading.Event()
    failed: list[BaseException] = []
    asked = threading.Event()

    def ask() -> None:
        try:
            with Connection(server.where) as connection:
                for number in itertools.count():
                    connection.ask(data(number))
                    asked.set()
                    if ended.wait(pause):
                        return
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody sees it
            failed.append(error)
            asked.set()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        asked.wait()
        yield
    finally:
        ended.set()
        thread.join()
    if failed:
        raise failed[0]


@contextmanager
def _parked(stage: Stage, server: Ours) -> Iterator[None]:
    with Connection(server.where) as operator:
        operator.ask(request("POST", f"/v1/pause/{_PARKED}", b'{"reason": "a benchmark"}'))
        wait = request("GET", f"/v1/gate/{_PARKED}?wait=600")
        with Parked(server.where, wait, stage.sizes.most_waiters) as parked:
            server.machine.settle(server.pid)
            yield
            parked.woken(operator, request("POST", f"/v1/resume/{_PARKED}", b"{}"))


def _scrapes(stage: Stage, server: Ours, turn: int) -> dict[str, float]:
    series = stage.folder / "series.txt"
    with Connection(server.where) as ours:
        series.write_bytes(ours.ask(_SCRAPE).body)
        with objects(stage.machine, series) as server_of_objects:
            server_of_objects.ready()
            with Connection(server_of_objects.where) as theirs:
                return _by_turns(stage, turn, ours, theirs)


def _by_turns(stage: Stage, turn: int, ours: Connection, theirs: Connection) -> dict[str, float]:
    told = [_series(one.ask(_SCRAPE).body) for one in (ours, theirs)]
    if abs(told[0] - told[1]) > told[0] * _MAY_DIFFER:
        raise RuntimeError(f"not the same series: {told[0]} and {told[1]}")
    took: dict[str, list[float]] = {"ours": [], "objects": []}
    for number in range(stage.sizes.scrapes):
        for name, one in by_turns(turn + number, (("ours", ours), ("objects", theirs))):
            took[name].append(one.timed(_SCRAPE))
    return {f"scrape.{name}": statistics.median(each) * 1e3 for name, each in took.items()}


def _series(exposition: bytes) -> int:
    return sum(not line.startswith(b"#") for line in exposition.splitlines())
