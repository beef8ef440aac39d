"""Measures the sidecar and its peers alternately, in rounds; prints a table, writes JSON and a plot."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from .figures import told  # noqa: E402 - the harness is found by the line above
from .machine import Machine  # noqa: E402
from .report import draw, table  # noqa: E402
from .scenarios import SCENARIOS  # noqa: E402
from .sizes import FULL, SHORT, Sizes  # noqa: E402
from .stage import Stage  # noqa: E402

RESULTS = ROOT / "bench" / "results"


def measure(machine: Machine, sizes: Sizes, only: Sequence[str]) -> list[dict[str, float]]:
    """The measurements of each round, by name."""
    rounds = []
    with Stage(machine, sizes) as stage:
        for turn in range(sizes.rounds):
            found: dict[str, float] = {}
            for letter in only:
                began = time.monotonic()
                found |= SCENARIOS[letter](stage, turn)
                spent = time.monotonic() - began
                print(f"round {turn + 1} of {sizes.rounds}, {letter}: {spent:.1f} s", file=sys.stderr)
            rounds.append(found)
    return rounds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a short form, to see that it works")
    parser.add_argument("--only", default="", help="scenarios, as a,b")
    parser.add_argument("--rounds", type=int, help="number of rounds")
    parser.add_argument("--json", type=Path, default=RESULTS / "benchmark.json")
    parser.add_argument("--plot", type=Path, default=RESULTS / "benchmark.png")
    options = parser.parse_args(arguments)
    only = [one for one in options.only.split(",") if one] or list(SCENARIOS)
    if unknown := set(only) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    form = SHORT if options.short else FULL
    sizes = replace(form, rounds=options.rounds or form.rounds)
    began = datetime.now(UTC)
    machine = Machine.take(sizes.idle_secs)
    rounds = measure(machine, sizes, only)
    lines = told(rounds, sizes)
    print(table(lines))
    result: dict[str, Any] = {
        "at": began.isoformat(timespec="seconds"),
        "took_secs": round((datetime.now(UTC) - began).total_seconds()),
        "form": "short" if options.short else "full",
        "machine": machine.to_json(),
        "figures": [one.to_json() for one in lines],
        "rounds": rounds,
    }
    for path in (options.json, options.plot):
        path.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    draw(result, options.plot)
    print(f"\n{options.json}\n{options.plot}")


if __name__ == "__main__":
    main()
