"""Everything the demo needs, started together and ended together."""

from __future__ import annotations

import http.client
import os
import re
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import requests
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.monitoring import Alertmanager, Prometheus  # noqa: E402 - found by the line above
from harness.process import Process, eventually, free_port  # noqa: E402
from harness.sidecar import Sidecar  # noqa: E402

__all__ = ["SCOPE", "Load", "Stage", "eventually"]

SCOPE = "simulated"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Load:
    """So many requests a second, each in a thread."""

    def __init__(self, port: int) -> None:
        self.per_sec = 0.0
        self.asked = 0
        self.statuses: dict[int, int] = {}
        self._port = port
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1 / self.per_sec if self.per_sec else 0.1):
            if self.per_sec:
                self.asked += 1
                threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request("POST", "/v1/chat/completions", b"{}")
            status = connection.getresponse().status
        except OSError:
            status = 0
        finally:
            connection.close()
        with self._lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1


class Stage:
    """Prometheus with the shipped rules, Alertmanager, the sidecar, the engine gated by the middleware, a load.

    Args:
        faster: the rules' times are divided by this; nothing else of them is changed.
    """

    def __init__(self, faster: float = 20.0) -> None:
        self._faster = faster
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        try:
            folder = Path(enter(tempfile.TemporaryDirectory(prefix="wellbeing-demo-")))
            port, engine_port = free_port(), free_port()
            self.alertmanager: Alertmanager = enter(Alertmanager(f"http://127.0.0.1:{port}/v1/alerts"))
            config = {
                "defaults": {"pause_on_distressed": True, "max_pause_secs": 0},
                "alerts": {
                    "alertmanager_urls": [self.alertmanager.url],
                    "reconcile_secs": 5,
                    "alertmanager": {"min_uptime_secs": 5},
                },
            }
            self.sidecar: Sidecar = enter(Sidecar(config, store="sqlite:demo.db", folder=folder, port=port))
            environ = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "WELLBEING_URL": self.sidecar.url,
                "WELLBEING_SCOPE": SCOPE,
                "WELLBEING_CLIENT_WAIT_SECS": "60",
                "WELLBEING_CLIENT_REPORT_SECS": "1",
            }
            self._engine = enter(
                _Engine(
                    [sys.executable, "-m", "demo.engine", f"{engine_port}:{SCOPE}:vllm:door"], folder, environ
                )
            )
            self.engine_url = f"http://127.0.0.1:{engine_port}"
            eventually(self._is_up, "the engine is up")
            targets = {"wellbeing-sidecar": self.sidecar.address, "vllm": f"127.0.0.1:{engine_port}"}
            self.prometheus: Prometheus = enter(Prometheus(targets, self._rules(), self.alertmanager.address))
            self.load: Load = enter(Load(engine_port))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fault(self, kind: str) -> None:
        """``none``, ``slow`` or ``stuck``."""
        requests.post(f"{self.engine_url}/fault", data=kind, timeout=10).raise_for_status()

    def _is_up(self) -> bool:
        self._engine.alive()
        try:
            return requests.get(f"{self.engine_url}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def _rules(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = []
        for subject in ("thresholds", "vllm", "sidecar"):
            text = (ROOT / "alerts" / f"{subject}.rules.yml").read_text()
            groups += yaml.safe_load(_scaled(text, self._faster))["groups"]
        return groups


class _Engine(Process):
    def __enter__(self) -> Self:
        return self


def _scaled(rules: str, faster: float) -> str:
    """The same rules with their times divided by ``faster``; into a range, two scrapes have to fit."""

    def shorter(match: re.Match[str]) -> str:
        secs = int(match[2]) * _UNITS[match[3]] / faster
        least = 5.0 if match[1] == "[" else 1.0
        return f"{match[1]}{max(least, secs):.0f}s"

    return re.sub(r"(\[|for: |offset )(\d+)([smhd])\b", shorter, rules)
