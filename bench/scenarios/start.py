"""f. From the command to the first answer, and what it takes of memory then."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.machine import settle
from bench.peers import Gunicorn, Ours, answers, hello, memory_kb
from bench.stage import Stage, by_turns
from harness.process import Process, free_port

_DEADLINE_SECS = 60.0
_EVERY_SECS = 0.001


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Start each once."""
    found: dict[str, float] = {}
    for one in by_turns(turn, (_ours, _hello)):
        found |= one(stage)
    return found


def _ours(stage: Stage) -> dict[str, float]:
    port = free_port()
    return _start("ours", lambda: Ours(stage.machine, port=port), ("127.0.0.1", port), "/v1/gate/s/0")


def _hello(stage: Stage) -> dict[str, float]:
    port = free_port()
    return _start("hello", lambda: hello(stage.machine, port), ("127.0.0.1", port), "/")


def _start(
    name: str, make: Callable[[], Ours | Gunicorn], where: tuple[str, int], target: str
) -> dict[str, float]:
    began = time.perf_counter()
    process = make()
    try:
        took = _first_answer(process, began, where, target)
    except BaseException:
        process.stop()
        raise
    with process:
        settle(process.pid)
        memory = memory_kb(process.pid) / 1024
    return {f"start.{name}": took, f"idle.{name}": memory}


def _first_answer(process: Process, began: float, where: tuple[str, int], target: str) -> float:
    while not answers(where, target):
        process.alive()
        if time.perf_counter() - began > _DEADLINE_SECS:
            raise RuntimeError("it does not answer")
        time.sleep(_EVERY_SECS)
    return time.perf_counter() - began
