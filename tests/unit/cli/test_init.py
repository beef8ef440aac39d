"""``init`` writes files that the programs accept, for every combination of answers."""

from __future__ import annotations

import builtins
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.helm import rendered_with
from harness.process import program
from sidecar.cli import main
from sidecar.cli.starter_files import ENGINES, MODES, PLACES, Answers, starter_files
from sidecar.config import load_config

ROOT = Path(__file__).parents[3]


def init(folder, *arguments: str) -> int:
    return main(["init", "--directory", str(folder), *arguments])


@pytest.mark.parametrize(("engine", "mode"), list(itertools.product(ENGINES, MODES)))
def test_the_sidecar_accepts_its_file(tmp_path, engine, mode) -> None:
    assert init(tmp_path, "--engine", engine, "--place", "local", "--mode", mode) == 0
    config = load_config(tmp_path / "sidecar.yaml", {})
    assert config.policies.policy_for("a").pause_on_distressed is (mode == "pause")
    schema = json.loads((tmp_path / "config.schema.json").read_text())
    jsonschema.validate(yaml.safe_load((tmp_path / "sidecar.yaml").read_text()), schema)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_prometheus_and_alertmanager_accept_their_files(tmp_path, engine) -> None:
    init(tmp_path, "--engine", engine, "--place", "local", "--mode", "pause")
    for command in (
        ["promtool", "check", "config", "prometheus.yml"],
        ["amtool", "check-config", "alertmanager.yml"],
    ):
        done = subprocess.run(
            [program(command[0]), *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_the_chart_accepts_its_values(mode) -> None:
    (text,) = starter_files(Answers("vllm", "kubernetes", mode)).values()
    kinds = {one["kind"] for one in rendered_with(yaml.safe_load(text))}
    assert {"Deployment", "ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"} <= kinds


@pytest.mark.parametrize("engine", [name for name, engine in ENGINES.items() if engine.rules])
def test_the_scope_that_init_names_is_the_one_of_the_alerts(engine) -> None:
    rules = (ROOT / "alerts" / f"{ENGINES[engine].rules}.rules.yml").read_text()
    (template,) = re.findall(r"wellbeing_scope: &scope '(.*)'", rules)
    labels = re.findall(r"\$labels\.(\w+)", template)
    parts = ["model" if "model" in label else label for label in labels if label != "job"]
    assert ENGINES[engine].pod_scope.partition(",")[0].split("/") == parts
    assert ENGINES[engine].scope.startswith(
        "the served model's name" if "model" in parts else "the scrape job"
    )


def test_the_next_steps_work_in_the_current_folder(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("--engine", "vllm", "--mode", "pause", "--place")
    assert init("a folder", *arguments, "local") == 0
    assert "  1. cd 'a folder'\n  2. wellbeing-sidecar serve" in capsys.readouterr().out
    assert init(".", *arguments, "local") == 0
    assert "  1. wellbeing-sidecar serve" in capsys.readouterr().out
    assert init("a folder", *arguments, "kubernetes") == 0
    printed = capsys.readouterr().out
    assert f"--values '{tmp_path}/a folder/values.yaml'" in printed
    assert "WELLBEING_SCOPE: namespace/model/pod" in printed


def test_existing_files_are_not_overwritten(tmp_path, capsys) -> None:
    mine = tmp_path / "alertmanager.yml"
    mine.write_text("mine")
    arguments = ("--engine", "vllm", "--place", "local", "--mode", "pause")
    assert init(tmp_path, *arguments) == 1
    assert "not overwritten: alertmanager.yml" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["alertmanager.yml"], "nothing is half written"
    assert mine.read_text() == "mine"
    assert init(tmp_path, *arguments, "--force") == 0
    assert mine.read_text() != "mine"


def test_init_asks_on_a_terminal_until_it_gets_an_answer(tmp_path, monkeypatch, capsys) -> None:
    answers = iter(["9", "sglang", "", "2"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(builtins, "input", lambda _: next(answers))
    assert init(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "'9' is not one of them" in printed
    assert "start it with --enable-metrics" in printed
    assert "127.0.0.1:30000" in (tmp_path / "prometheus.yml").read_text()
    assert load_config(tmp_path / "sidecar.yaml", {}).policies.policy_for("a").pause_on_distressed


def test_without_a_terminal_init_names_the_missing_flag(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert init(tmp_path) == 2
    assert "give --engine (vllm, sglang," in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder_is_reported_in_one_sentence(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert init(tmp_path / "file", "--engine", "vllm", "--place", PLACES[0], "--mode", "pause") == 1
    assert capsys.readouterr().err.count("\n") == 1
