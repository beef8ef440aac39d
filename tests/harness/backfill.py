"""Runs a real Prometheus with samples that a test has written."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .monitoring import Monitor
from .process import program

Sample = tuple[float, float]
"""Seconds since the epoch, and a value."""


def write_blocks(folder: Path, series: dict[str, Iterable[Sample]]) -> None:
    """Write blocks into ``folder`` with the samples of each series, whose names are in the text format."""
    text = folder / "history.om"
    with text.open("w") as file:
        for name in sorted({spelled.partition("{")[0] for spelled in series}):
            file.write(f"# TYPE {name} gauge\n")
            for spelled, samples in series.items():
                if spelled.partition("{")[0] == name:
                    file.writelines(f"{spelled} {value} {at}\n" for at, value in samples)
        file.write("# EOF\n")
    # The input is read once for each block, so a few large blocks take a fraction of the time.
    command = [program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=1000h", "openmetrics"]
    subprocess.run([*command, str(text), str(folder / "data")], check=True, capture_output=True, text=True)
    text.unlink()


class BackfilledPrometheus(Monitor):
    """A Prometheus that scrapes nothing and has the written blocks.

    Args:
        folder: the folder of `write_blocks`.
        config: the config of Prometheus.
        secured: folder with ``cert.pem`` and ``key.pem``; use TLS, a user and a password.
    """

    def __init__(
        self, folder: Path, config: dict[str, Any] | None = None, *, secured: Path | None = None
    ) -> None:
        extra = [f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=10y"]
        config = config or {"global": {"evaluation_interval": "15s"}}
        super().__init__("prometheus", config, extra, secured=secured)

    def refused_queries(self) -> float:
        """The number of range queries that were answered with an error."""
        with self.session() as session:
            lines = session.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        found = [
            line for line in lines if "prometheus_http_requests_total{" in line and "query_range" in line
        ]
        return sum(float(line.rpartition(" ")[2]) for line in found if 'code="200"' not in line)
