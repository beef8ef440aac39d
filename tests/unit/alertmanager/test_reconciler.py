"""When Alertmanager is queried again, and that ten thousand alerts do not block the event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.in_loop import until
from sidecar.alertmanager import reconciler
from sidecar.alertmanager.alerting import Alerting
from sidecar.alertmanager.client import AlertmanagerReply
from sidecar.config import AlertsConfig
from sidecar.core.policy import PolicyTable
from sidecar.runtime.controller import Controller
from sidecar.store import MemoryStore

URL = "http://alertmanager:9093"


def answers_after(failures: int, failure: Exception | None):
    """A query that fails ``failures`` times and then answers, and the event of its first answer."""
    answered = asyncio.Event()
    left = failures

    async def query(_config: AlertsConfig) -> list[AlertmanagerReply]:
        nonlocal left
        left -= 1
        if left < 0:
            answered.set()
            return [AlertmanagerReply(URL)]
        if failure is not None:
            raise failure
        return [AlertmanagerReply(URL, error="no answer")]

    return query, answered


async def run_until_answered(query, answered: asyncio.Event) -> dict[str, int]:
    """Start a sidecar that queries once a day, wait for an answer, and return its rounds by result."""
    controller = Controller(PolicyTable(), MemoryStore())
    await controller.start()
    config = AlertsConfig(alertmanager_urls=(URL,), reconcile_secs=86_400.0)
    alerting = Alerting(controller, config, query=query)
    try:
        async with asyncio.timeout(60):
            await answered.wait()
        return dict(controller.counters.reconciliations)
    finally:
        await alerting.stop()
        await controller.stop()


@pytest.mark.parametrize(
    ("failure", "result"), [(None, "unreachable"), (RuntimeError("a bug"), "failed")], ids=["silent", "bug"]
)
def test_a_failed_query_is_repeated_before_a_long_interval_ends(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None, result: str
) -> None:
    monkeypatch.setattr(reconciler, "_RETRY_SECS", 0.01)
    monkeypatch.setattr(reconciler, "_MIN_INTERVAL_SECS", 0.0)
    assert asyncio.run(run_until_answered(*answers_after(3, failure)))[result] == 3


class _Api(BaseHTTPRequestHandler):
    """The API of an Alertmanager with 500 alerts that fire."""

    def do_GET(self) -> None:
        alerts = [
            {
                "fingerprint": f"{number:016x}",
                "labels": {"alertname": "A", "wellbeing": "distressed", "wellbeing_scope": f"s/{number}"},
                "annotations": {},
                "startsAt": "2026-01-01T00:00:00Z",
                "status": {"state": "active"},
            }
            for number in range(500)
        ]
        answer = {"uptime": "2026-01-01T00:00:00Z"} if self.path.startswith("/api/v2/status") else alerts
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def alertmanager() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def collected_in() -> Iterator[set[str]]:
    """The names of the functions during which garbage was collected. Every few new objects cause a collection."""
    names: set[str] = set()

    def note(phase: str, _: dict[str, int]) -> None:
        frame = sys._getframe(1) if phase == "start" else None
        while frame is not None:
            names.add(frame.f_code.co_name)
            frame = frame.f_back

    before = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(5, 1_000, 1_000)
    try:
        yield names
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(note)
        gc.unfreeze()


def test_no_garbage_is_collected_while_a_thread_looks_at_all_alerts() -> None:
    async def reconcile_once(url: str) -> None:
        controller = Controller(PolicyTable(), MemoryStore())
        await controller.start()
        config = AlertsConfig(alertmanager_urls=(url,), reconcile_secs=86_400.0)
        alerting = Alerting(controller, config)
        try:
            await until(lambda: controller.counters.reconciliations["done"], "the alerts are reconciled")
            assert len(controller.core_state.records) > 500
        finally:
            await alerting.stop()
            await controller.stop()

    with alertmanager() as url, collected_in() as names:
        asyncio.run(reconcile_once(url))
    assert "send_request" in names
    assert not names & {"parse_active_alerts", "loads_in_pieces", "_signals_of", "_combine", "_compare"}
