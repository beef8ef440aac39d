"""A real Prometheus, a real Alertmanager, and a target whose metric the test moves."""

from __future__ import annotations

import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
import yaml

from .process import Process, eventually, free_port, program


class Target:
    """Exposes one gauge, ``engine_distress``."""

    def __init__(self) -> None:
        target = self
        self.value = 0.0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"# TYPE engine_distress gauge\nengine_distress {target.value}\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Target:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Monitor(Process):
    """What Prometheus and Alertmanager have in common."""

    def __init__(self, name: str, config: dict[str, Any], extra: list[str], files: dict[str, str]) -> None:
        self._dir = tempfile.TemporaryDirectory(prefix=f"{name}-")
        folder = Path(self._dir.name)
        for file, text in files.items():
            (folder / file).write_text(text)
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        command = [program(name), "--config.file=config.yml", f"--web.listen-address={self.address}"]
        super().__init__([*command, f"--web.external-url={self.url}", *extra], folder)

    def __enter__(self) -> Any:
        eventually(self._ready, f"{self.url} is ready")
        return self

    def _ready(self) -> bool:
        self.alive()
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._dir.cleanup()


class Alertmanager(_Monitor):
    """Sends everything to one webhook, at once."""

    def __init__(self, webhook: str) -> None:
        config = {
            "route": {
                "receiver": "sidecar",
                "group_by": ["alertname"],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1h",
            },
            "receivers": [{"name": "sidecar", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
        }
        extra = ["--storage.path=data", "--cluster.listen-address="]
        super().__init__("prometheus-alertmanager", config, extra, {})


class Prometheus(_Monitor):
    """Scrapes and evaluates every second.

    Args:
        targets: addresses by job.
        rules: rule groups, as in a rule file.
        alertmanager: where alerts go.
    """

    def __init__(self, targets: dict[str, str], rules: list[dict[str, Any]], alertmanager: str) -> None:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [address]}]}
                for job, address in targets.items()
            ],
        }
        extra = ["--storage.tsdb.path=data", "--rules.alert.resend-delay=1s"]
        super().__init__("prometheus", config, extra, {"rules.yml": yaml.safe_dump({"groups": rules})})

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The instant vector of ``expression``: labels and values."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", answer
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def value(self, expression: str) -> float | None:
        """The only value of ``expression``; None where there is none."""
        rows = self.query(expression)
        assert len(rows) <= 1, rows
        return rows[0][1] if rows else None
