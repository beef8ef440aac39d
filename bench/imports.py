"""What importing the client costs a worker, beside ``import requests``: ``python -m bench.imports``.

CPU time and memory of a fresh Python, without those of one that imports nothing. All are started in turn. An
import of the package alone loads nothing, so the gate is named.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .__main__ import ROOT

_NOTHING = "pass"
_PEER = "import requests"
_OURS = "from sidecar.client import Gate"
_SIZE = (
    "\nprint(next(line.split()[1] for line in open('/proc/self/smaps_rollup') if line.startswith('Rss:')))"
)
_BAR = 1.2


class _Cost(NamedTuple):
    """CPU time in milliseconds, resident memory in MB."""

    cpu: float
    memory: float


def _run(code: str) -> _Cost:
    before = _used()
    command = [sys.executable, "-c", code + _SIZE]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    return _Cost((_used() - before) * 1e3, int(done.stdout) / 1024)


def _used() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(prog="bench.imports", description=__doc__)
    parser.add_argument("--times", type=int, default=21, help="how often each is started")
    times = parser.parse_args(arguments).times
    found: dict[str, list[_Cost]] = {code: [] for code in (_NOTHING, _PEER, _OURS)}
    for turn in range(times + 1):
        for code, costs in found.items():
            cost = _run(code)
            if turn:
                # The first start compiles the modules and reads them from the disk.
                costs.append(cost)
    median = {code: _Cost(*map(statistics.median, zip(*costs, strict=True))) for code, costs in found.items()}
    nothing, peer = median.pop(_NOTHING), median[_PEER]
    print("import | CPU, ms | memory, MB")
    for code, cost in median.items():
        print(code, *(f"{one - base:.1f}" for one, base in zip(cost, nothing, strict=True)), sep=" | ")
    ours = median[_OURS]
    for name, one, other, base in zip(_Cost._fields, ours, peer, nothing, strict=True):
        ratio = (one - base) / (other - base)
        print(f"{name}: {ratio:.2f} times {_PEER}, at most {_BAR}: {'met' if ratio <= _BAR else 'not met'}")


if __name__ == "__main__":
    main()
