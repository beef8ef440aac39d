"""The benchmark, in its short form: it works and prints every figure. The values of the figures are not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.figures import Figure, Spread, Told, figures, told
from bench.scenarios import SCENARIOS
from bench.sizes import SHORT
from harness.lazy_module import LazyModule

ROOT = Path(__file__).parents[2]
report = LazyModule("bench.report")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """The files that the short form wrote, its output, and its plot."""
    folder = tmp_path_factory.mktemp("bench")
    # The benchmark pins itself to one core, so it runs in a separate process.
    command = [sys.executable, "-m", "bench", "--short"]
    command += ["--json", str(folder / "found.json"), "--plot", str(folder / "found.png")]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return json.loads((folder / "found.json").read_text()), ended.stdout, folder / "found.png"


def test_every_scenario_is_measured(run: tuple[dict[str, Any], str, Path]) -> None:
    result, _, _ = run
    assert len(result["rounds"]) == SHORT.rounds
    assert {one["scenario"] for one in result["figures"]} == set(SCENARIOS)
    assert [one["what"] for one in result["figures"]] == [one.what for one in figures(SHORT)]


def test_every_figure_is_positive_and_its_peers_have_figures(run: tuple[dict[str, Any], str, Path]) -> None:
    result, _, _ = run
    for one, figure in zip(result["figures"], figures(SHORT), strict=True):
        for spread in [one["ours"], *([one["theirs"], one["ratio"]] if figure.peer else [])]:
            assert 0 < spread["least"] <= spread["median"] <= spread["most"], one
        assert (one["met"] is None) == (one["bar"] is None)


def test_the_cost_of_importing_the_client_is_measured() -> None:
    command = [sys.executable, "-m", "bench.imports", "--times", "1"]
    printed = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    assert "from sidecar.client import Gate | " in printed
    assert "memory: 0." in printed


def test_the_report_prints_a_table_and_draws_a_plot(run: tuple[dict[str, Any], str, Path]) -> None:
    result, printed, plot = run
    for one in result["figures"]:
        assert f"| {one['scenario']} | {one['what']} | {one['unit']} |" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_docs_page_is_generated_from_the_measurements(
    run: tuple[dict[str, Any], str, Path], tmp_path: Path
) -> None:
    result, _, _ = run
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- begin: bars -->\nstand-in\n<!-- end -->\nAfter.\n")
    report.write(page, result)
    bars = [one for one in result["figures"] if one["bar"]]
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert "stand-in" not in text
    assert all(one["what"] in text for one in bars)
    report.write(page, result)
    assert page.read_text() == text


def test_the_committed_docs_page_matches_its_figures(tmp_path: Path) -> None:
    page = tmp_path / "benchmark.md"
    kept = (ROOT / "docs" / "explanation" / "benchmark.md").read_text()
    page.write_text(kept)
    report.write(page, json.loads((ROOT / "docs" / "explanation" / "benchmark.json").read_text()))
    assert page.read_text() == kept


def test_a_ratio_compares_figures_of_the_same_round() -> None:
    rounds = [{"open.4.per_sec.ours": 90.0, "open.4.per_sec.nginx": 100.0}] * 2
    rounds.append({"open.4.per_sec.ours": 50.0, "open.4.per_sec.nginx": 40.0})
    found = [one for one in told(rounds, SHORT) if one.ratio]
    assert [one.ratio for one in found] == [Spread(0.9, 0.9, 1.25)]
    assert [one.met for one in found] == [False]
    assert [one.verdict for one in found] == ["**not met**, but in some rounds"]


@pytest.mark.parametrize(("value", "met"), [(44.0, True), (46.0, False)])
def test_a_limit_without_a_peer_applies_to_the_value(value: float, met: bool) -> None:
    one = Told(Figure("f", "memory", "MB", "idle", most=45), Spread.of([value]), None, None)
    assert one.met is met
    assert one.verdict == ("met" if met else "**not met**")
