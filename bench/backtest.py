"""Measures the cost of a backtest: a week of 100 alerts, evaluated every 15 s, read from a real Prometheus.

Each alert fires half of the time, for an hour at a time on average, so that there are many pauses and
resumes. The backtest runs on one core. ``python -m bench.backtest`` prints its time, its processor time and
its largest memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.backfill import BackfilledPrometheus, write_blocks  # noqa: E402 - found by the line above

STEP_SECS = 15
_MEAN_SECS = 3_600
_SCOPES = 50
_SEED = 5


@dataclass(frozen=True)
class Cost:
    """The cost of one backtest.

    Attributes:
        alerts: the number of alerts.
        days: the length of the range.
        samples: the samples of ``ALERTS`` in the range.
        pauses: the resulting pauses.
        secs: duration in seconds, including Prometheus' answers.
        cpu_secs: CPU time of the backtest's process alone.
        memory_mb: the largest resident memory of that process.
        refused_queries: range queries that Prometheus answered with an error.
    """

    alerts: int
    days: float
    samples: int
    pauses: int
    secs: float
    cpu_secs: float
    memory_mb: float
    refused_queries: int


def firing(start: int, end: int, seed: int) -> Iterator[tuple[int, int]]:
    """The samples of an alert that fires half of the time."""
    chance = random.Random(seed)  # noqa: S311 - a load, no secret
    at, on = start, chance.random() < 1 / 2
    while at <= end:
        until = at + STEP_SECS + chance.expovariate(1 / _MEAN_SECS)
        while at <= min(until, end):
            if on:
                yield at, 1
            at += STEP_SECS
        on = not on


def _counted(samples: Iterator[tuple[int, int]], count: Iterator[int]) -> Iterator[tuple[int, int]]:
    for sample in samples:
        next(count)
        yield sample


def measure(alerts: int, days: float) -> Cost:
    """Write the history, start Prometheus, and run the command once."""
    end = int(time.time()) // 60 * 60
    start = end - int(days * 86_400)
    with tempfile.TemporaryDirectory(prefix="backtest-") as name:
        folder = Path(name)
        series: dict[str, Iterable[tuple[float, float]]] = {}
        count = itertools.count()
        for number in range(alerts):
            labels = (
                f'alertname="Alert{number}",alertstate="firing",severity="critical",'
                f'wellbeing_scope="team/agent-{number % _SCOPES}",instance="host-{number}:9100"'
            )
            # Written as they are generated: otherwise the memory of this process would count as memory of the
            # backtest.
            series[f"ALERTS{{{labels}}}"] = _counted(firing(start, end, _SEED + number), count)
        write_blocks(folder, series)
        samples = next(count)
        with BackfilledPrometheus(folder) as prometheus:
            found, secs, cpu_secs, memory_mb = _run(prometheus.url, f"{days * 86_400:g}s")
            refused = int(prometheus.refused_queries())
    pauses = len(found["configs"][0]["pauses"])
    return Cost(alerts, days, samples, pauses, secs, cpu_secs, memory_mb, refused)


def _run(url: str, since: str) -> tuple[dict[str, list[dict[str, list[object]]]], float, float, float]:
    command = [sys.executable, "-m", "sidecar", "backtest", "--prometheus", url, "--since", since, "--json"]
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output)  # noqa: S603 - our own command
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        secs = time.monotonic() - began
        if process.returncode:
            raise RuntimeError(f"backtest ended with {process.returncode}")
        output.seek(0)
        return json.load(output), secs, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure, and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=100)
    parser.add_argument("--days", type=float, default=7.0)
    options = parser.parse_args()
    for name, value in asdict(measure(options.alerts, options.days)).items():
        print(f"{name:16} {value:,.1f}" if isinstance(value, float) else f"{name:16} {value:,}")


if __name__ == "__main__":
    main()
