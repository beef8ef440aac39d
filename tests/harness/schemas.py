"""Finds the JSON schemas of Grafana and of the Prometheus operator."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def schemas() -> Path:
    """The folder that ``WELLBEING_SCHEMAS`` names; without it the test is skipped, and fails in CI."""
    where = os.environ.get("WELLBEING_SCHEMAS")
    if not where and "CI" not in os.environ:
        beside = Path(__file__).parents[3] / "shared" / "schemas"
        where = str(beside) if beside.is_dir() else None
    if not where and "CI" not in os.environ:
        pytest.skip("WELLBEING_SCHEMAS does not say where the JSON schemas are")
    return Path(where)
