"""A sidecar and an Alertmanager that know each other, for tests that stop, kill and restart them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from .monitoring import Alertmanager
from .ports import free_port
from .sidecar import Sidecar

CRITICAL = {"severity": "critical"}
CLOSED = {**CRITICAL, "wellbeing_scope": "*"}
"""The labels of an alert about the root."""
ROUNDS = 'wellbeing_reconciliations_total{result="done"}'


class SidecarPair:
    """A sidecar that polls an Alertmanager, which sends it notifications."""

    def __init__(self, stack: ExitStack, tmp_path: Path) -> None:
        self._stack = stack
        self._folder = tmp_path
        self.port = free_port()
        self.webhook = f"http://127.0.0.1:{self.port}/v1/alerts"

    def alertmanager(self, **options) -> Alertmanager:
        self.am = self._stack.enter_context(Alertmanager(self.webhook, **options))
        return self.am

    def sidecar(self, urls: list[str] | None = None, **alerts) -> Sidecar:
        """Start the sidecar. It polls often, and trusts the list of an Alertmanager that has just started."""
        asking = {"min_uptime_secs": 0, **alerts.pop("alertmanager", {})}
        config = {
            "defaults": {"pause_on_distressed": True, "max_pause_secs": 0},
            "alerts": {
                "alertmanager_urls": [self.am.url] if urls is None else urls,
                "reconcile_secs": 0.5,
                "alertmanager": asking,
                **alerts,
            },
        }
        self.own = self._stack.enter_context(
            Sidecar(config, store="sqlite:state.db", folder=self._folder, port=self.port)
        )
        return self.own

    def pause_by(self, name: str, **labels: str) -> None:
        """Fire an alert, and wait until the gate is closed."""
        self.am.fire(name, **{**CLOSED, **labels})
        self.own.wait_for_gate(labels.get("wellbeing_scope", ""), "closed")

    def settled(self) -> None:
        """Wait for some rounds of reconciliation."""
        self.own.wait_for_metric(ROUNDS, self.own.metric(ROUNDS) + 3)
