"""Settings of all tests: the number of examples, and the order of files."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from harness.examples import examples
from harness.fork_server import ForkServer
from harness.sidecar import Sidecar

# Prometheus, promtool and their like live for seconds: they need not collect garbage often.
os.environ.setdefault("GOGC", "400")

Sidecar.fork_server = ForkServer()


def pytest_unconfigure() -> None:
    """End the fork server."""
    if Sidecar.fork_server:
        Sidecar.fork_server.stop()


# No deadline: the time of an example depends on the load of the machine.
settings.register_profile("untimed", deadline=None, max_examples=examples())
settings.load_profile("untimed")

# A shell starts background jobs with SIGINT ignored, and child processes inherit that. Tests send SIGINT to
# programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONG_FILES = (
    "e2e/test_readme.py",
    "e2e/test_misleading.py",
    "e2e/test_misleading_prometheus.py",
    "e2e/test_page_browser.py",
    "e2e/test_client_faults.py",
    "e2e/test_closed_loop.py",
    "e2e/test_demo.py",
    "e2e/test_backtest.py",
    "e2e/test_bench.py",
    "http/test_process.py",
    "deploy/test_two_pods.py",
    "e2e/test_victoria.py",
    "alert_rules/test_promtool.py",
    "alert_rules/test_masks.py",
    "deploy/test_image.py",
    "e2e/test_fleet.py",
    "http/test_openapi.py",
    "http/test_revocation.py",
    "http/test_durable.py",
    "e2e/test_client.py",
    "e2e/test_proxies.py",
    "e2e/test_docs_site.py",
    "e2e/test_secured.py",
    "deploy/test_schemas.py",
    "e2e/test_fleet_alerting.py",
    "e2e/test_reliability.py",
    "http/test_hooks.py",
    "e2e/test_client_forks.py",
    "deploy/test_guide.py",
    "e2e/test_client_prefork.py",
    "e2e/test_attack.py",
    "deploy/test_chart.py",
    "http/test_page.py",
)
"""The files that take longest, longest first. A worker runs a file as a whole: one that starts last delays the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long files first; needs ``--no-loadscope-reorder``."""
    order = {name: number for number, name in enumerate(LONG_FILES)}

    def place(item: pytest.Item) -> int:
        return order.get(
            "/".join(item.path.parts[-2:]), order.get("/".join(item.path.parts[-3:]), len(order))
        )

    items.sort(key=place)
