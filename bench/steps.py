"""The longest step of the event loop during each event of scenario i, as CPU time: ``python -m bench.steps``.

The sidecar runs as in scenario i. `bench.loop_watch` is loaded into it by a ``sitecustomize.py``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .__main__ import ROOT
from .loop_watch import LOG_ENV
from .machine import Machine
from .scenarios import stalls
from .sizes import FULL, SHORT
from .stage import Stage

_CUSTOMIZE = "from bench.loop_watch import install\n\ninstall()\n"
_MILLI = 1e3


@dataclass(frozen=True, slots=True)
class _Step:
    """A long step: its end by the monotonic clock, its CPU time and its duration in seconds, what it was."""

    ended_at: float
    cpu: float
    wall: float
    what: str


def _steps(path: Path) -> Iterator[_Step]:
    for line in path.read_text().splitlines():
        ended_at, cpu, wall, what = line.split(" ", 3)
        yield _Step(float(ended_at), float(cpu), float(wall), what)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the longest steps of each event."""
    parser = argparse.ArgumentParser(prog="bench.steps", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a short form, to see that it works")
    parser.add_argument("--only", default="", help="parts of the scenario, as naming,reconciling")
    parser.add_argument("--most", type=int, default=1, help="steps to print for each event")
    options = parser.parse_args(arguments)
    only = [one for one in options.only.split(",") if one] or list(stalls.PARTS)
    if unknown := set(only) - set(stalls.PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(stalls.PARTS)}")
    sizes = replace(SHORT if options.short else FULL, quiet_secs=0.05)
    machine = Machine.take(sizes.idle_secs)
    with tempfile.TemporaryDirectory(prefix="steps-") as name, Stage(machine, sizes) as stage:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(_CUSTOMIZE)
        log = folder / "steps"
        log.touch()
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), str(ROOT), before)))
        os.environ[LOG_ENV] = str(log)
        for part in only:
            stalls.PARTS[part](stage, stage.sizes.stalled[-1])
        steps = list(_steps(log))
    print("event | its end after, ms | longest step: CPU, ms | it took, ms | what")
    for event, began, ended in stage.events:
        own = sorted((one for one in steps if began <= one.ended_at <= ended), key=lambda one: -one.cpu)
        for step in own[: options.most]:
            figures = (ended - began, step.cpu, step.wall)
            print(event, *(f"{secs * _MILLI:.2f}" for secs in figures), step.what, sep=" | ")


if __name__ == "__main__":
    main()
