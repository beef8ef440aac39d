"""Measures what the gate costs each proxy, on a path that asks the gate and on one that does not.

``python -m bench.proxies`` prints a table for docs/how-to/proxies.md and writes bench/results/proxies.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import requests

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.ports import free_port  # noqa: E402 - found by the line above
from harness.process import Process, eventually, program  # noqa: E402
from harness.proxies import KINDS, Proxy  # noqa: E402
from harness.sidecar import Sidecar  # noqa: E402

RESULT = ROOT / "bench" / "results" / "proxies.json"
_GATED, _UNGATED = "/v1/completions", "/health"
_CONNECTIONS = 30
_ENGINE = """
worker_processes 1;
pid {folder}/pid;
events {{}}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    keepalive_requests 1000000;
    location / {{ return 200 "{{}}"; }}
  }}
}}
"""


class _Engine(Process):
    """nginx in place of an engine: it answers at once."""

    def __init__(self, folder: Path, port: int) -> None:
        (folder / "engine.conf").write_text(_ENGINE.format(folder=folder, port=port))
        given = ["-p", str(folder), "-e", "stderr", "-c", f"{folder}/engine.conf", "-g", "daemon off;"]
        super().__init__([program("nginx"), *given], folder)

    def __enter__(self) -> Self:
        return self


@contextmanager
def _proxies(folder: Path) -> Iterator[dict[str, Proxy]]:
    with ExitStack() as stack:
        sidecar = stack.enter_context(Sidecar())
        engine = free_port()
        stack.enter_context(_Engine(folder, engine))
        started = {
            name: stack.enter_context(Proxy(name, folder / name, (free_port(), sidecar.where[1], engine)))
            for name in KINDS
        }
        for name, proxy in started.items():
            eventually(partial(_is_up, proxy), f"{name} is up")
        yield started


def _is_up(proxy: Proxy) -> bool:
    proxy.alive()
    try:
        return requests.get(proxy.url + _GATED, timeout=10).ok
    except requests.ConnectionError:
        return False


def _load(proxy: Proxy, path: str, secs: float) -> dict[str, float]:
    """Requests a second, the median in milliseconds, and how many failed."""
    script = (
        "done = function(s, l, r) local e = s.errors "
        "io.write(string.format('%d %d %d %d', s.requests, s.duration, l:percentile(50), "
        "e.connect + e.read + e.write + e.status + e.timeout)) end"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [program("wrk"), "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(secs))}s", "-s", file.name]
        done = subprocess.run(  # noqa: S603 - a fixed program
            [*command, proxy.url + path], capture_output=True, text=True, check=True
        )
    found = re.search(r"(\d+) (\d+) (\d+) (\d+)$", done.stdout)
    if found is None:
        raise RuntimeError(f"wrk printed no summary: {done.stdout[-500:]}")
    count, micros, median, errors = map(int, found.groups())
    return {"per_sec": count / micros * 1e6, "p50_ms": median / 1000, "errors": errors}


def measure(rounds: int, secs: float) -> dict[str, dict[str, dict[str, float]]]:
    """The medians over ``rounds``, by proxy and by whether it asks the gate; the proxies take turns."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        name: {"without": [], "with": []} for name in KINDS
    }
    with tempfile.TemporaryDirectory() as folder, _proxies(Path(folder)) as proxies:
        for _ in range(rounds):
            for name, proxy in proxies.items():
                found[name]["without"].append(_load(proxy, _UNGATED, secs))
                found[name]["with"].append(_load(proxy, _GATED, secs))
    return {
        name: {
            kind: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
            for kind, runs in kinds.items()
        }
        for name, kinds in found.items()
    }


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """A table in Markdown."""
    lines = [
        "| proxy | without the gate | with the gate | median without | median with |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, one in found.items():
        bare, gated = one["without"], one["with"]
        lines.append(
            f"| {name} | {bare['per_sec']:,.0f}/s | {gated['per_sec']:,.0f}/s "
            f"| {bare['p50_ms']:.2f} ms | {gated['p50_ms']:.2f} ms |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="bench.proxies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=3, help="of each load")
    parser.add_argument("--json", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    found = measure(options.rounds, options.secs)
    failed = [name for name, one in found.items() for kind in one.values() if kind["errors"]]
    print(table(found))
    print(
        f"\n{_CONNECTIONS} connections, {os.cpu_count()} cores for all, load average {os.getloadavg()[0]:.1f}"
    )
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    if failed:
        sys.exit(f"requests failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
