"""One sidecar for all tests in this folder that do not start their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from harness.sidecar import Sidecar


@pytest.fixture(scope="session")
def sidecar() -> Iterator[Sidecar]:
    config = {
        "defaults": {"pause_on_distressed": True},
        "policies": [
            {"match": "concerned", "pause_on_concerned": True},
            {"match": "brief", "max_pause_secs": 0.5},
            {"match": "short-wait", "wait_timeout_secs": 0.2},
            {"match": "off", "enabled": False},
            {"match": "ramp", "resume_ramp_per_sec": 20},
        ],
        "limits": {"max_body_bytes": 1_000_000, "max_alerts_per_notification": 100},
    }
    with Sidecar(config) as running:
        yield running


_numbers = itertools.count()


@pytest.fixture
def scope() -> str:
    """A scope that no other test uses."""
    return f"test-{next(_numbers)}"
