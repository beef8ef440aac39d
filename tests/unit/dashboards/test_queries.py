"""The results of the panels' queries when three sidecars serve the same scopes, and for pauses with and
without an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards.build import BOARDS
from dashboards.panels import Board, Panel
from harness.rules import run_tests

Sample = tuple[str, float]

ENDLESS, ENDING = "team/endless", "team/ending"
INFO = 'held_by="{scope}",kind="auto",source="alert:1",reason="slow"'
MINUTES = 20
ENDS_AT = 60 * MINUTES + 45
BOARD = {board.uid.removeprefix("wellbeing-"): board for board in BOARDS}


def series() -> dict[str, str]:
    """The series of two paused scopes from each of three sidecars; each sidecar counted one pause."""
    found = {}
    for instance in "123":
        for scope, until in ((ENDLESS, 0), (ENDING, ENDS_AT)):
            labels = f'instance="{instance}:9477",scope="{scope}"'
            found |= {
                f"wellbeing_state_level{{{labels}}}": f"3x{MINUTES}",
                f"wellbeing_paused{{{labels}}}": f"1x{MINUTES}",
                f"wellbeing_waiters{{{labels}}}": f"2x{MINUTES}",
                f"wellbeing_pause_info{{{labels},{INFO.format(scope=scope)}}}": f"1x{MINUTES}",
                f"wellbeing_pause_until_timestamp_seconds{{{labels}}}": f"{until}x{MINUTES}",
                f'wellbeing_signals{{{labels},source="alert",state="distressed"}}': f"1x{MINUTES}",
                f'wellbeing_pauses_total{{{labels},cause="auto"}}': f"_x{MINUTES - 5} 1x5",
                f"wellbeing_interventions_total{{{labels}}}": f"0x{MINUTES - 1} 1",
            }
    return found


def pause(scope: str, ends_in: float) -> Sample:
    return f'{{scope="{scope}",{INFO.format(scope=scope)}}}', ends_in


EXPECTED: dict[tuple[str, str], list[Sample]] = {
    ("fleet", "Scopes"): [("{}", 2)],
    ("fleet", "Not healthy"): [("{}", 2)],
    ("fleet", "Paused"): [("{}", 2)],
    # Each sidecar counts its own requests.
    ("fleet", "Waiting"): [("{}", 12)],
    ("fleet", "Paused now"): [pause(ENDLESS, -1), pause(ENDING, 45)],
    ("fleet", "Pauses"): [(f'{{scope="{scope}",cause="auto"}}', 1) for scope in (ENDLESS, ENDING)],
    ("fleet", "Signals"): [('{source="alert",state="distressed"}', 2)],
    ("scope", "Paused by"): [pause(ENDLESS, -1)],
    ("scope", "Pauses, last day"): [("{}", 1)],
    ("scope", "Pauses and resumes"): [('{cause="auto"}', 1)],
    ("scope", "Signals"): [('{source="alert",state="distressed"}', 1)],
}


def query(board: Board, title: str) -> str:
    expression = next(
        part.queries[0][0] for part in board.parts if isinstance(part, Panel) and part.title == title
    )
    expression = expression.replace("$cluster", ".*").replace("$instance", ".*")
    return expression.replace("$scope", ENDLESS if board.uid == "wellbeing-scope" else ".*")


def give(tmp_path: Path, expected: dict[str, list[Sample]]) -> None:
    """Check that each expression returns these samples when it is evaluated at the end of the series."""
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series().items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{MINUTES}m",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples],
            }
            for expression, samples in expected.items()
        ],
    }
    run_tests(tmp_path, [], [test], "1m")


def test_a_scope_served_by_several_sidecars_is_counted_once(tmp_path: Path) -> None:
    give(tmp_path, {query(BOARD[board], title): samples for (board, title), samples in EXPECTED.items()})


@pytest.mark.parametrize(("board", "title"), [("fleet", "Paused now"), ("scope", "Paused by")])
def test_a_pause_without_an_end_is_not_shown_as_a_number(board: str, title: str) -> None:
    panel = next(part for part in BOARD[board].parts if isinstance(part, Panel) and part.title == title)
    assert panel.words["-1"][0] == "no end"


@pytest.mark.parametrize("board", ["fleet", "scope"])
def test_an_intervention_is_annotated_once(tmp_path: Path, board: str) -> None:
    (expression,) = [query for name, _, query in BOARD[board].annotations if name == "Interventions"]
    scopes = [ENDLESS] if board == "scope" else [ENDLESS, ENDING]
    expression = expression.replace("$cluster", ".*").replace("$instance", ".*")
    expression = expression.replace("$scope", ENDLESS if board == "scope" else ".*")
    give(tmp_path, {expression: [(f'{{scope="{scope}"}}', 1) for scope in scopes]})
