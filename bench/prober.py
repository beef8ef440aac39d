"""A client that does nothing wrong: it asks for one gate again and again, and measures each response.

It is a process of its own, so that it never waits for the load, and it goes before the load at its core where
the system lets it. While a response is late, a client that asks at fixed times would have sent more requests:
each of them counts as late by as much as it would have been.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .talk import request

_ROOT = Path(__file__).parents[1]
_INTERVAL_SECS = 0.0005
_GATE = "/v1/gate/honest"
_BEGIN, _END = "begin", "end"
PROBED = "honest"
"""The scope that is asked for. Its policy has to say ``enabled: false``, so that its gate stays open."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Milliseconds from a request to its response: the 99th percentile and the maximum; and how many."""

    p99: float
    worst: float
    count: int


class Prober:
    """The process. It measures between `begin` and `end`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self) -> None:
        """Begin to measure."""
        self._tell(_BEGIN)
        self._answer()

    def end(self) -> Probed:
        """Stop, and return what was measured since `begin`."""
        self._tell(_END)
        return Probed(**json.loads(self._answer()))

    def quiet(self, secs: float) -> Probed:
        """Measure for ``secs`` seconds."""
        self.begin()
        time.sleep(secs)
        return self.end()

    def _tell(self, word: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the prober has no input")
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("the prober has ended")
        return line


@contextmanager
def probing(where: tuple[str, int]) -> Iterator[Prober]:
    """A prober of the server at ``where``."""
    command = [sys.executable, "-m", "bench.prober", where[0], str(where[1])]
    process = subprocess.Popen(  # noqa: S603 - ourselves
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Prober(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def probe(where: tuple[str, int]) -> None:
    """Begin and end measurements at the lines of standard input, until it ends."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    data = request("GET", _GATE)
    with socket.create_connection(where, 60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _ask(sock, data)
        while sys.stdin.readline():
            print("begun", flush=True)
            took = sorted(_as_planned(_measure(sock, data)))
            p99 = took[int(len(took) * 0.99)] * 1e3
            print(json.dumps({"p99": p99, "worst": took[-1] * 1e3, "count": len(took)}), flush=True)
            # The word that ended the measurement.
            sys.stdin.readline()


def _measure(sock: socket.socket, data: bytes) -> list[float]:
    took = []
    while not select.select([sys.stdin], [], [], _INTERVAL_SECS)[0]:
        took.append(_ask(sock, data))
    return took or [_ask(sock, data)]


def _ask(sock: socket.socket, data: bytes) -> float:
    began = time.perf_counter()
    sock.sendall(data)
    answer = sock.recv(65_536)
    while not answer.endswith(b"}"):
        answer += sock.recv(65_536)
    took = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"a gate that is always open answered {answer!r}")
    return took


def _as_planned(took: list[float]) -> Iterator[float]:
    """The measured times, and the times of requests that a late response kept from being sent."""
    for secs in took:
        yield secs
        late = secs - _INTERVAL_SECS
        while late > _INTERVAL_SECS:
            yield late
            late -= _INTERVAL_SECS


if __name__ == "__main__":
    probe((sys.argv[1], int(sys.argv[2])))
