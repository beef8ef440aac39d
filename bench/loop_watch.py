"""Measures the CPU time of each step of the event loop, inside the sidecar's own process.

`bench.steps` loads it into the sidecar. A step is one callback: a piece of a task between two points where it
waits, a timer, or what a connection does with the bytes that have arrived. Until it ends, nothing else runs.
CPU time does not depend on other programs as much as the time that passes, and counts garbage collections.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from contextvars import Context
from io import FileIO
from pathlib import Path
from typing import Any

import uvloop

LOG_ENV = "BENCH_STEPS"
"""Environment variable with the file that the long steps are appended to."""
LEAST_SECS = 0.0003
_MOST_FRAMES = 12


class _Watch:
    """Measures callbacks, and appends the long ones to the file at ``path``.

    Each line has the end of the step by the monotonic clock, its CPU time and its duration, all in seconds,
    and what it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._collecting = 0.0
        self._began = 0.0
        gc.callbacks.append(self._collected)

    def run(self, call: Callable[..., object], *args: object) -> object:
        """Call ``call``."""
        self._collecting = 0.0
        wall, used = time.monotonic(), time.thread_time()
        try:
            return call(*args)
        finally:
            cpu = time.thread_time() - used
            if cpu >= LEAST_SECS:
                self._note(time.monotonic(), wall, cpu, call)

    def _note(self, now: float, began: float, cpu: float, call: Callable[..., object]) -> None:
        if self._file is None:
            self._file = FileIO(self._path, "a")
        collected = f" (garbage: {self._collecting * 1e3:.1f} ms)" if self._collecting > LEAST_SECS else ""
        self._file.write(f"{now:.6f} {cpu:.6f} {now - began:.6f} {_described(call)}{collected}\n".encode())

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if threading.current_thread() is threading.main_thread():
            if phase == "start":
                self._began = time.thread_time()
            else:
                self._collecting += time.thread_time() - self._began


class _WatchedLoop(uvloop.Loop):
    """uvloop's event loop with a watch."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override] # noqa: ANN401
        return super().call_soon(self._watch.run, callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override] # noqa: ANN401
        return super().call_soon_threadsafe(self._watch.run, callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override] # noqa: ANN401
        return super().call_later(delay, self._watch.run, callback, *args, context=context)


def install() -> None:
    """Watch the event loop that this process creates, if the environment names a file."""
    path = os.environ.get(LOG_ENV)
    if not path:
        return
    watch = _Watch(Path(path))
    uvloop.new_event_loop = lambda: _WatchedLoop(watch)
    _watch_connections(watch)


def _watch_connections(watch: _Watch) -> None:
    """Measure what connections do with received bytes: uvloop calls them without its queue."""
    from sidecar.web.api.protocol import ApiProtocol  # noqa: PLC0415 - only in the sidecar's process
    from sidecar.web.gate.protocol import GateProtocol  # noqa: PLC0415

    for kind in (GateProtocol, ApiProtocol):
        for name in ("data_received", "connection_lost", "eof_received", "resume_writing"):
            setattr(kind, name, _watched(getattr(kind, name), watch))


def _watched(method: Callable[..., object], watch: _Watch) -> Callable[..., object]:
    def call(self: object, *args: object) -> object:
        return watch.run(method, self, *args)

    return call


def _described(call: Callable[..., object]) -> str:
    """What ``call`` is; for a task, also where it waits now."""
    owner = getattr(call, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        return str(getattr(call, "__qualname__", call)).replace("\n", " ")
    names: list[str] = []
    coroutine: Any = owner.get_coro()
    while coroutine is not None and len(names) < _MOST_FRAMES:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        line = f":{frame.f_lineno}" if frame is not None else ""
        names.append(f"{getattr(coroutine, '__name__', type(coroutine).__name__)}{line}")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return " > ".join(names)
