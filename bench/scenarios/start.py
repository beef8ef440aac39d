"""f. The time from the command to the first response, and the memory after it."""

from __future__ import annotations

import compileall
import time
from collections.abc import Callable

from bench.machine import Machine
from bench.notify import notification
from bench.peers import ROOT, Gunicorn, Ours, answers, hello, memory_kb
from bench.stage import Stage, by_turns
from bench.talk import Connection, request
from harness.ports import free_port
from harness.process import Process

_DEADLINE_SECS = 60.0
_EVERY_SECS = 0.001
_USED = (
    request("PUT", "/v1/state/s/0", b'{"state": "cautious"}'),
    notification(1, firing=True, scopes=1),
    request("GET", "/metrics"),
)
"""The routes that every sidecar serves regularly; the status page is measured separately."""


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Start each server once."""
    # As in an installed package: otherwise each start would compile all files.
    compileall.compile_dir(ROOT / "sidecar", quiet=1)
    found: dict[str, float] = {}
    for one in by_turns(turn, (_ours, _hello)):
        found |= one(stage)
    return found


def _ours(stage: Stage) -> dict[str, float]:
    port = free_port()
    where = ("127.0.0.1", port)
    server, took = _start(lambda: Ours(stage.machine, port=port), where, "/v1/gate/s/0")
    with server, Connection(where) as connection:
        for data in _USED:
            connection.ask(data)
        idle = _memory_mb(stage.machine, server)
        connection.ask(request("GET", "/v1/status"))
        return {"start.ours": took, "idle.ours": idle, "looked.ours": _memory_mb(stage.machine, server)}


def _hello(stage: Stage) -> dict[str, float]:
    port = free_port()
    server, took = _start(lambda: hello(stage.machine, port), ("127.0.0.1", port), "/")
    with server:
        return {"start.hello": took, "idle.hello": _memory_mb(stage.machine, server)}


def _start(
    make: Callable[[], Ours | Gunicorn], where: tuple[str, int], target: str
) -> tuple[Ours | Gunicorn, float]:
    began = time.perf_counter()
    process = make()
    try:
        return process, _first_answer(process, began, where, target)
    except BaseException:
        process.stop()
        raise


def _memory_mb(machine: Machine, process: Process) -> float:
    machine.settle(process.pid)
    return memory_kb(process.pid) / 1024


def _first_answer(process: Process, began: float, where: tuple[str, int], target: str) -> float:
    while not answers(where, target):
        process.alive()
        if time.perf_counter() - began > _DEADLINE_SECS:
            raise RuntimeError("it does not answer")
        time.sleep(_EVERY_SECS)
    return time.perf_counter() - began
