"""Load from wrk: requests per second, latency, and CPU time of the server."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.process import program

from .machine import on_cpu_ns
from .talk import TOKEN

_HERE = Path(__file__).parent
_MARK = "FOUND "


@dataclass(frozen=True, slots=True)
class Answered:
    """The results of one load.

    Attributes:
        per_sec: requests a second.
        p50: microseconds, the median.
        p99: the 99th percentile.
        p999: the 99.9th percentile.
        cpu: CPU time of the server for each request, in microseconds.
    """

    per_sec: float
    p50: float
    p99: float
    p999: float
    cpu: float

    @classmethod
    def of(cls, parts: Sequence[Answered]) -> Answered:
        """Combine several loads of the same length; percentiles are medians over the loads."""
        requests = sum(part.per_sec for part in parts)
        return cls(
            per_sec=requests / len(parts),
            p50=statistics.median(part.p50 for part in parts),
            p99=statistics.median(part.p99 for part in parts),
            p999=statistics.median(part.p999 for part in parts),
            cpu=sum(part.cpu * part.per_sec for part in parts) / requests,
        )


def wrk(
    where: tuple[str, int],
    target: str,
    connections: int,
    secs: int,
    *,
    worker: int,
    in_turn: int = 0,
    post: bool = False,
) -> Answered:
    """Run wrk.

    Args:
        where: host and port.
        target: path and query.
        connections: the number of connections, which are kept alive.
        secs: the duration; wrk accepts whole seconds only.
        worker: the process that serves, for its CPU time.
        in_turn: request the gates of this many scopes in turn, instead of ``target``.
        post: send a POST with the body of an inference request.

    Raises:
        RuntimeError: not every request was answered with 200.
    """
    scripts = ["percentiles.lua", *(["in_turn.lua"] if in_turn else []), *(["post.lua"] if post else [])]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join((_HERE / name).read_text() for name in scripts))
        script.flush()
        command = [
            *(program("wrk"), "--threads", "1", "--connections", str(connections)),
            *("--duration", str(secs), "--script", script.name),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            f"http://{where[0]}:{where[1]}{target}",
            *(("--", str(in_turn)) if in_turn else ()),
        ]
        before = on_cpu_ns(worker)
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=secs + 60)  # noqa: S603
        ran = on_cpu_ns(worker) - before
    line = next((line for line in out.stdout.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise RuntimeError(f"wrk printed no results:\n{out.stdout}\n{out.stderr}")
    found = json.loads(line.removeprefix(_MARK))
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"not every request was answered with 200:\n{out.stdout}")
    return Answered(
        per_sec=found["requests"] / found["usecs"] * 1e6,
        p50=found["p50"],
        p99=found["p99"],
        p999=found["p999"],
        cpu=ran / found["requests"] / 1e3,
    )
