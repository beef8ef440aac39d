"""Test files must be cheap to import, because each worker of pytest imports all of them."""

from __future__ import annotations

import re
from pathlib import Path

SLOW = ("bench.report", "demo.loop_report", "demo.previews", "matplotlib", "mcp", "mcp_types", "openai")
"""Modules that take a second to import. Tests name them as a `harness.lazy_module.LazyModule`."""


def test_no_test_file_imports_a_slow_module() -> None:
    slow = "|".join(map(re.escape, SLOW))
    # "from bench import report" imports bench.report.
    at_once = re.compile(
        rf"^(?:import (?:{slow})\b|from (?:{slow})(?:\.[\w.]+)? import|from bench import .*\breport\b)",
        re.MULTILINE,
    )
    folder = Path(__file__).parents[1]
    files = [path for path in folder.rglob("test_*.py") if "real" not in path.parts]
    assert len(files) > 100
    assert [str(path) for path in files if at_once.search(path.read_text())] == []
    assert at_once.search("from mcp.client import Client")
    assert at_once.search("import openai")
    assert not at_once.search("    import openai")
