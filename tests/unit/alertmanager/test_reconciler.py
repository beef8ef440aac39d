"""When Alertmanager is queried again."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.alertmanager import reconciler
from sidecar.alertmanager.alerting import Alerting
from sidecar.alertmanager.client import AlertmanagerReply
from sidecar.config import AlertsConfig
from sidecar.core.policy import PolicyTable
from sidecar.runtime.controller import Controller
from sidecar.store import MemoryStore

URL = "http://alertmanager:9093"


def answers_after(failures: int, failure: Exception | None):
    """A query that answers after it has failed this often, and its answers."""
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
