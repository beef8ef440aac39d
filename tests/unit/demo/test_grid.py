"""The grid of the closed loop: its cases, when a case counts as settled, and the report."""

from __future__ import annotations

import time
from dataclasses import asdict

import pytest
from test_engine import Run

import demo.loop_subjects
from demo.environment import _scaled, shipped_rules
from demo.load import Load
from demo.loop_cases import BUSY_PER_SEC, CAUSES, GRID, MODES, SETTINGS, SHORT, WAYS, WAYS_AT_THE_GATE, Case
from demo.loop_rules import bad_rule, loop_rules, planted_rule
from demo.loop_subjects import Patience, Result, Subject
from harness.lazy_module import LazyModule

loop_report = LazyModule("demo.loop_report")
STUCK = Case("vllm", "stuck", "kept")


def test_the_grid_combines_each_cause_with_each_method_and_its_options() -> None:
    assert len({case.name for case in GRID}) == len(GRID)
    for kind in MODES:
        for cause in CAUSES:
            for way in WAYS:
                found = {
                    case.setting
                    for case in GRID
                    if (case.kind, case.cause, case.way, case.busy) == (kind, cause, way, False)
                }
                if way != "gate":
                    assert found == {"none", "damping"}, "no request waits at a gate that a ramp could admit"
                else:
                    assert found >= {"none", "both"}
    assert {case.setting for case in GRID if case.way == "gate"} == set(SETTINGS)
    assert {case.way for case in GRID if "resume_ramp_per_sec" in case.policy} == {"gate"}
    assert all(any(case.name == one.name for case in [*GRID, *WAYS_AT_THE_GATE]) for one in SHORT)


def test_a_busy_engine_reaches_at_least_85_percent_of_its_throughput_with_a_queue() -> None:
    run = Run()
    run.go(120, per_sec=15)
    assert 0.85 <= BUSY_PER_SEC / (len(run.ends) / 120) < 1


def test_the_planted_rule_is_the_shipped_rule_without_its_mask() -> None:
    (rule,) = planted_rule("planted")["rules"]
    shipped = next(
        one
        for group in shipped_rules(20, "vllm")
        for one in group["rules"]
        if one.get("alert") == "VllmStuck"
    )
    assert "unless" in shipped["expr"]
    assert "unless" not in rule["expr"]
    assert "vllm:num_requests_waiting" in rule["expr"]
    assert rule["for"] == shipped["for"]


def test_only_the_times_of_rules_are_divided() -> None:
    text = "expr: rate(a:b5m[5m]) > 300 and c[1d] offset 15m\nfor: 2m\nkeep_firing_for: 1m\n"
    assert _scaled(text, 20) == (
        "expr: rate(a:b5m[15s]) > 300 and c[4320s] offset 45s\nfor: 6s\nkeep_firing_for: 3s\n"
    )


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(demo.loop_subjects, "put_fault", lambda _, fault: told.append(fault))
    return told


def subject(**patience: float) -> Subject:
    return Subject(STUCK, "", Load(1), patience=Patience(**{"hold_secs": 0.0, "calm_secs": 0.0, **patience}))


def test_a_cause_ends_only_while_the_gate_is_closed(faults: list[str]) -> None:
    one = subject()
    one.begin()
    one.see_to_it()
    one.turns = [(time.time(), "pause"), (time.time(), "resume")]
    one.see_to_it()
    assert (faults, one.mended_at) == (["stuck"], None)
    one.turns.append((time.time(), "pause"))
    one.see_to_it()
    assert faults == ["stuck", "none"]
    assert one.was_closed_at(one.mended_at)


def test_a_cause_that_ended_just_after_the_gate_opened_is_injected_again(faults: list[str]) -> None:
    one = subject()
    one.begin()
    one.turns = [(time.time(), "pause")]
    one.see_to_it()
    one.turns.append((one.mended_at - 0.001, "resume"))
    one.see_to_it()
    assert (faults, one.mended_at) == (["stuck", "none", "stuck"], None)


def test_a_gate_that_opened_just_after_its_cause_ended_has_a_recovery_time_above_0(
    faults: list[str],
) -> None:
    one = subject()
    one.begin()
    one.turns = [(time.time(), "pause")]
    assert one.recovered_secs is None
    one.see_to_it()
    one.turns.append((one.mended_at + 0.001, "resume"))
    assert one.is_settled(time.time() + 1)
    assert 0 < one.recovered_secs < 0.01


def test_a_case_has_settled_when_the_gate_is_open_and_the_backlog_is_served(faults: list[str]) -> None:
    one = subject()
    one.begin()
    one.turns = [(time.time(), "pause")]
    one.see_to_it()
    assert not one.is_settled(time.time() + 1), "the gate is closed"
    one.turns.append((time.time(), "resume"))
    assert one.is_settled(time.time() + 1)
    one.load.asked = 100
    assert not one.is_settled(time.time() + 1), "a hundred requests wait for their answers"
    one.load.statuses[200] = 90
    assert one.is_settled(time.time() + 1)
    one.turns.append((time.time(), "pause"))
    assert not one.is_settled(time.time() + 1), "the gate has closed again"


def test_the_table_has_a_cell_for_each_setting_that_was_tried() -> None:
    def result(setting: str, **more: object) -> dict[str, object]:
        case = Case("vllm", "stuck", "kept", setting)
        told = Result(case.name, case.kind, case.cause, case.way, case.setting, case.busy)
        return {**asdict(told), **more}

    came = [
        result("none", closed=7.4, pauses=3, pauses_after=1, recovered=12.0, lost=1, answered=99),
        result("damping", closed=8.0, pauses=1),
    ]
    table = loop_report.tables({"results": came, "secs": 600, "failed_scrapes": 0.001, "planted_holds": True})
    assert table.startswith("2 cases in 10 minutes; 0.1% of the scrapes failed.")
    assert "| stuck | kept | 7 s | 2+1, 12 s, 1% | 1+0, never, 0% |  |  |" in table.splitlines()


def test_a_single_failed_scrape_ends_no_alert_of_the_loop() -> None:
    groups = [*loop_rules(), planted_rule("planted"), bad_rule(["pods"])]
    pausing = [
        rule
        for group in groups
        for rule in group["rules"]
        if "alert" in rule and rule["labels"].get("wellbeing") != "ignore"
    ]
    assert len(pausing) > 10
    for rule in pausing:
        assert rule["keep_firing_for"], rule["alert"]


def test_the_table_of_methods_gives_the_requests_lost_to_an_engine_that_stayed_broken() -> None:
    def result(case: Case, **more: object) -> dict[str, object]:
        return {**asdict(Result(case.name, case.kind, case.cause, case.way, case.setting, case.busy)), **more}

    overload, _, restarted, _ = WAYS_AT_THE_GATE
    came = [
        result(overload, pauses=3, pauses_after=2, recovered=93.4, goodput_closed=4.26),
        result(restarted, pauses=2, recovered=3.5, lost=116, lost_unmended=47, goodput_closed=1.0),
    ]
    pods = [{"name": "pods-share", "pods": 4, "paused": 2, "opened": 0, "answered": 0.513}]
    lines = loop_report.ways_table(
        {"results": came, "secs": 210, "failed_scrapes": 0.0, "pods": pods}
    ).splitlines()
    assert "| overload | pause | 1+2 | 93 s | 4.3 | 0 |  |" in lines
    assert "| restarted | pause | 2+0 | 4 s |  | 116 | 47 |" in lines
    assert "| 0.5 | 4 | 2 | 51% |" in lines
