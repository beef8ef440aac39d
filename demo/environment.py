"""Starts and stops everything that the demo needs."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import requests
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.monitoring import Alertmanager, Prometheus  # noqa: E402 - found by the line above
from harness.ports import free_port  # noqa: E402
from harness.process import Process, eventually  # noqa: E402
from harness.sidecar import Sidecar  # noqa: E402

from .load import Clients, Load  # noqa: E402

__all__ = ["SCOPE", "Alertmanager", "DemoEnvironment", "Prometheus", "Sidecar", "eventually", "free_port"]

SCOPE = "simulated"
# On a busy machine, a simulated engine answers late; that must not end a run of many minutes.
_ANSWER_SECS = 60
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class ProgramGroup(ABC):
    """Programs that a context starts and stops; a failed start stops those that run already."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    @abstractmethod
    def _start(self) -> None:
        """Start all programs, in ``self._stack``."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class DemoEnvironment(ProgramGroup):
    """Runs Prometheus with the shipped rules, Alertmanager, the sidecar, an engine behind the middleware, and
    a load.

    Args:
        faster: the divisor of all times in the rules. The rules are otherwise unchanged.
    """

    def __init__(self, faster: float = 20.0) -> None:
        super().__init__()
        self._faster = faster

    def _start(self) -> None:
        enter = self._stack.enter_context
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
        engines = enter(Engines([f"{engine_port}:{SCOPE}:vllm:gate"], self.sidecar.url, folder))
        self.engine_url = f"http://127.0.0.1:{engine_port}"
        eventually(lambda: is_up(engines, self.engine_url), "the engine is up")
        targets = {"wellbeing-sidecar": self.sidecar.address, "vllm": f"127.0.0.1:{engine_port}"}
        self.prometheus: Prometheus = enter(
            Prometheus(targets, shipped_rules(self._faster, "vllm", "sidecar"), self.alertmanager.address)
        )
        self.load = Load(engine_port)
        enter(Clients(self.load))

    def fault(self, kind: str) -> None:
        """Set one of `demo.engine.model.FAULTS` in the engine."""
        put_fault(self.engine_url, kind)


class Engines(Process):
    """Simulated engines in one process.

    Args:
        specs: one argument for each engine, as ``python -m demo.engine`` takes them.
        sidecar: the URL of the sidecar of their gates.
        folder: the working directory.
        report_secs: interval of the clients' reports.
        wait_secs: the longest wait of a request at a gate.
    """

    def __init__(
        self,
        specs: list[str],
        sidecar: str,
        folder: Path,
        report_secs: float = 1.0,
        wait_secs: float = 60.0,
    ) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "WELLBEING_URL": sidecar,
            "WELLBEING_CLIENT_WAIT_SECS": f"{wait_secs:g}",
            "WELLBEING_CLIENT_REPORT_SECS": f"{report_secs:g}",
        }
        super().__init__([sys.executable, "-m", "demo.engine", *specs], folder, environ)

    def __enter__(self) -> Self:
        return self


def put_fault(url: str, fault: str) -> None:
    """Set the fault of the engine at ``url``; ``none`` ends it."""
    requests.post(f"{url}/fault", data=fault, timeout=_ANSWER_SECS).raise_for_status()


def restart(url: str) -> None:
    """Restart the engine at ``url``: it loses its requests, and keeps its fault."""
    requests.post(f"{url}/restart", timeout=_ANSWER_SECS).raise_for_status()


def is_up(engines: Engines, url: str) -> bool:
    """Whether the engine at ``url`` answers."""
    engines.alive()
    try:
        return requests.get(f"{url}/metrics", timeout=30).ok
    except requests.ConnectionError:
        return False


def shipped_rules(faster: float, *subjects: str) -> list[dict[str, Any]]:
    """The groups of ``alerts/``, with their times divided by ``faster``."""
    groups: list[dict[str, Any]] = []
    for subject in ("thresholds", "masks", *subjects):
        text = (ROOT / "alerts" / f"{subject}.rules.yml").read_text()
        groups += yaml.safe_load(_scaled(text, faster))["groups"]
    return groups


def _scaled(rules: str, faster: float) -> str:
    """The same rules with their times divided by ``faster``; a range has to contain two scrapes."""

    def shorter(match: re.Match[str]) -> str:
        secs = int(match[2]) * _UNITS[match[3]] / faster
        least = 5.0 if match[1] == "[" else 1.0
        return f"{match[1]}{max(least, secs):.0f}s"

    return re.sub(r"(\[|for: |offset )(\d+)([smhd])\b", shorter, rules)
