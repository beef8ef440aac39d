"""b. Many waiting requests: the memory of each, and the time from a change to all responses."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.parked import Parked, Woken
from bench.peers import Nginx, Ours, memory_kb
from bench.stage import Stage, by_turns, warm
from bench.talk import Connection, request

SCOPE = "s/0"
_GATE = request("GET", f"/v1/gate/{SCOPE}?wait=600")
_PAUSE = request("POST", f"/v1/pause/{SCOPE}", b'{"reason": "a benchmark"}')
_RESUME = request("POST", f"/v1/resume/{SCOPE}", b"{}")
_SNAPSHOT_BYTES = 250
"""nchan's message is as long as a snapshot."""
_WARM_TIMES = 200


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Park requests in each of the sizes, at a new server each time, and wake them."""
    found: dict[str, float] = {}
    for count, wakes in zip(stage.sizes.waiters, stage.sizes.wakes, strict=True):
        for one in by_turns(turn, (_ours, _nchan)):
            found |= one(stage, count, wakes)
    return found


def _ours(stage: Stage, count: int, wakes: int) -> dict[str, float]:
    with Ours(stage.machine) as server, Connection(server.where) as operator:
        warm(server.where, f"/v1/gate/{SCOPE}", _WARM_TIMES)
        operator.ask(_PAUSE)
        server.machine.settle(server.pid)
        before = memory_kb(server.pid)
        with Parked(server.where, _GATE, count) as waiters:
            server.machine.settle(server.pid)
            memory = (memory_kb(server.pid) - before) / count

            def again() -> None:
                operator.ask(_PAUSE)
                waiters.again()

            woken = _wake(server, waiters, operator, wakes, data=lambda _: _RESUME, again=again)
        watched = _watched(server, operator, count, wakes)
    return {
        f"park.{count}.memory.ours": memory,
        **_named(f"wake.{count}", "ours", woken),
        **_named(f"watch.{count}", "ours", watched),
    }


def _watched(server: Ours, operator: Connection, count: int, wakes: int) -> Woken:
    """Watches report a change of the state."""

    def watch() -> bytes:
        etag = operator.ask(request("GET", f"/v1/watch/{SCOPE}")).etag
        return request("GET", f"/v1/watch/{SCOPE}?wait=300", b"", f"If-None-Match: {etag}")

    def change(number: int) -> bytes:
        state = ("concerned", "cautious")[number % 2]
        return request("PUT", f"/v1/state/{SCOPE}", f'{{"state": "{state}"}}'.encode())

    with Parked(server.where, watch(), count) as watchers:
        return _wake(server, watchers, operator, wakes, data=change, again=lambda: watchers.again(watch()))


def _nchan(stage: Stage, count: int, wakes: int) -> dict[str, float]:
    publish = request("POST", "/pub", b"x" * _SNAPSHOT_BYTES)
    with Nginx(stage.machine, nchan=True) as server, Connection(server.where) as publisher:
        warm(server.where, "/v1/gate", _WARM_TIMES)
        server.machine.settle(server.pid)
        before = memory_kb(server.pid)
        with Parked(server.where, request("GET", "/sub"), count) as waiters:
            server.machine.settle(server.pid)
            memory = (memory_kb(server.pid) - before) / count
            woken = _wake(server, waiters, publisher, wakes, data=lambda _: publish, again=waiters.again)
    return {f"park.{count}.memory.nchan": memory, **_named(f"wake.{count}", "nchan", woken)}


def _wake(
    server: Ours | Nginx,
    parked: Parked,
    trigger: Connection,
    wakes: int,
    *,
    data: Callable[[int], bytes],
    again: Callable[[], None],
) -> Woken:
    """The medians over ``wakes`` times."""
    each = []
    for number in range(wakes):
        if number:
            again()
        server.machine.settle(server.pid)
        each.append(parked.woken(trigger, data(number)))
    return Woken(
        statistics.median(one.first for one in each),
        statistics.median(one.median for one in each),
        statistics.median(one.last for one in each),
    )


def _named(prefix: str, name: str, woken: Woken) -> dict[str, float]:
    return {
        f"{prefix}.first.{name}": woken.first * 1e3,
        f"{prefix}.median.{name}": woken.median * 1e3,
        f"{prefix}.last.{name}": woken.last * 1e3,
    }
