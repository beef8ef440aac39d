"""h. A restricted gate: whether its rate is kept, each client's share of it, and the open gate beside it."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.load import wrk
from bench.peers import Ours
from bench.stage import Stage, warm
from bench.talk import TOKEN, Connection, request
from sidecar.client import Gate

from .opened import GATE

SCOPE = "restricted"
_ASK = request("GET", f"/v1/gate/{SCOPE}?wait=600")
_CLAIM = request("PUT", f"/v1/state/{SCOPE}", b'{"state": "concerned", "reason": "a benchmark"}')
_ABORT = struct.pack("ii", 1, 0)
_SETTLED = 10
"""A client takes part once so many of its requests have passed. It takes seconds until all of them wait."""
_DEADLINE_SECS = 60.0
_POLL_SECS = 0.05
_STEP_SECS = 0.05
"""From the beginning of one window to that of the next."""
_PULSE_SECS = 0.005
_LEAST = 0.01
"""Percent: the report has no figure of exactly 0."""


def measure(stage: Stage, _: int) -> dict[str, float]:
    """Restrict a gate at which many wait, here and in clients, and probe an open one."""
    sizes = stage.sizes
    with Ours(stage.machine, restricted=sizes.restricted) as server:
        warm(server.where, GATE)
        quiet = wrk(server.where, GATE, 1, sizes.secs, worker=server.worker_pid)
        with Connection(server.where) as agent:
            agent.ask(_CLAIM)
        with _waiting(server, sizes.restricted_waiters) as own, _clients(server, *sizes.clients) as clients:
            _settled(clients)
            with _delays() as delays:
                began = time.monotonic()
                during = wrk(server.where, GATE, 1, sizes.secs, worker=server.worker_pid)
                ends = began + sizes.restricted_secs
                time.sleep(max(0.0, ends - time.monotonic()))
            passed = [[at for at in times if began <= at < ends] for times in (own, *clients)]
    waiting = sizes.restricted_waiters + sizes.clients[0] * sizes.clients[1]
    fair = sizes.restricted * sizes.restricted_secs * sizes.clients[1] / waiting
    unfair = max(abs(len(times) / fair - 1) for times in passed[1:])
    off = worst_window(
        sorted(at for times in passed for at in times), began, ends, sizes.window_secs, sizes.restricted
    )
    return {
        "restricted.off": max(off * 100, _LEAST),
        "restricted.delay": max(delays) * 1000,
        "restricted.unfair": max(unfair * 100, _LEAST),
        "restricted.p99.quiet": quiet.p99,
        "restricted.p99.during": during.p99,
    }


def _settled(clients: Sequence[list[float]]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECS
    while any(len(times) < _SETTLED for times in clients):
        if time.monotonic() > deadline:
            raise RuntimeError(f"a client gets nothing: {[len(times) for times in clients]} passed")
        time.sleep(_POLL_SECS)


def worst_window(times: Sequence[float], began: float, ended: float, secs: float, rate: float) -> float:
    """By which share of ``rate`` the worst window of ``secs`` seconds was off."""
    worst = 0.0
    start = began
    while start + secs <= ended:
        count = bisect_left(times, start + secs) - bisect_left(times, start)
        worst = max(worst, abs(count / (secs * rate) - 1))
        start += _STEP_SECS
    return worst


def _give_way() -> None:
    """Let `wrk`, which shares the core, run whenever it can, and this thread and its children in between.

    Otherwise `wrk` would measure for how long the load uses the core.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@contextmanager
def _repeating(step: Callable[[], None]) -> Iterator[None]:
    """Call ``step`` again and again in a thread of its own, until the context ends."""
    ended = threading.Event()

    def run() -> None:
        _give_way()
        while not ended.is_set():
            step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _delays() -> Iterator[list[float]]:
    """The list gets by how much each short sleep of this process was too long, in seconds.

    An answer that arrives meanwhile is noticed later, which a window shows as a deviation from the rate:
    a delay of a tenth of a second is 2 % of 5 s.
    """
    delays: list[float] = []

    def sleep() -> None:
        began = time.monotonic()
        time.sleep(_PULSE_SECS)
        delays.append(time.monotonic() - began - _PULSE_SECS)

    with _repeating(sleep):
        yield delays


@contextmanager
def _waiting(server: Ours, count: int) -> Iterator[list[float]]:
    """Keep ``count`` requests parked; the list gets the time of each answer."""
    passed: list[float] = []
    epoll = select.epoll()
    socks: dict[int, socket.socket] = {}
    for _ in range(count):
        sock = socket.create_connection(server.where)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        socks[sock.fileno()] = sock
        epoll.register(sock.fileno(), select.EPOLLIN)
        sock.sendall(_ASK)
    server.machine.settle(server.pid)

    def answer() -> None:
        for number, _ in epoll.poll(_POLL_SECS):
            socks[number].recv(65_536)
            passed.append(time.monotonic())
            socks[number].sendall(_ASK)

    try:
        with _repeating(answer):
            yield passed
    finally:
        epoll.close()
        for sock in socks.values():
            sock.close()


@contextmanager
def _clients(server: Ours, count: int, waiting: int) -> Iterator[list[list[float]]]:
    """``count`` clients that keep ``waiting`` requests parked each. A list gets when they pass."""
    passed: list[list[float]] = [[] for _ in range(count)]
    with ExitStack() as stack:
        gates = [
            stack.enter_context(Gate(server.url, scope=SCOPE, token=TOKEN, max_waiting=10**6, wait_secs=600))
            for _ in range(count)
        ]

        async def go_on(gate: Gate, times: list[float]) -> None:
            while True:
                await gate.wait_async()
                times.append(time.monotonic())

        async def run() -> None:
            tasks = [
                asyncio.create_task(go_on(gate, times))
                for gate, times in zip(gates, passed, strict=True)
                for _ in range(waiting)
            ]
            parked.set()
            await asyncio.to_thread(ended.wait)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        def run_in_thread() -> None:
            _give_way()
            asyncio.run(run())

        parked, ended = threading.Event(), threading.Event()
        thread = threading.Thread(target=run_in_thread)
        thread.start()
        try:
            parked.wait()
            yield passed
        finally:
            ended.set()
            thread.join()
