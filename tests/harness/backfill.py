"""Runs a real Prometheus with a history that a test writes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests
import yaml

from .monitoring import Alertmanager, _Monitor
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


class BackfilledPrometheus(_Monitor):
    """A Prometheus that scrapes nothing and has the written blocks.

    Args:
        folder: the folder of `write_blocks`.
        config: the config of Prometheus.
        secured: with the user and the password of `Alertmanager`, over TLS, with ``cert.pem`` and ``key.pem`` here.
    """

    def __init__(
        self, folder: Path, config: dict[str, Any] | None = None, *, secured: Path | None = None
    ) -> None:
        extra = [f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=10y"]
        files = {}
        self._secured = secured
        if secured:
            users = {Alertmanager.USER: "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"}
            tls = {"cert_file": str(secured / "cert.pem"), "key_file": str(secured / "key.pem")}
            files["web.yml"] = yaml.safe_dump({"basic_auth_users": users, "tls_server_config": tls})
            extra.append("--web.config.file=web.yml")
        super().__init__("prometheus", config or {"global": {"evaluation_interval": "15s"}}, extra, files)
        if secured:
            self.url = self.url.replace("http:", "https:")

    def session(self) -> Any:
        session = requests.Session()
        if self._secured:
            session.trust_env = False  # $REQUESTS_CA_BUNDLE would override verify
            session.auth = (Alertmanager.USER, Alertmanager.PASSWORD)
            session.verify = str(self._secured / "cert.pem")
        return session

    def refused_queries(self) -> float:
        """The number of range queries that were answered with an error."""
        with self.session() as session:
            lines = session.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        found = [
            line for line in lines if "prometheus_http_requests_total{" in line and "query_range" in line
        ]
        return sum(float(line.rpartition(" ")[2]) for line in found if 'code="200"' not in line)
