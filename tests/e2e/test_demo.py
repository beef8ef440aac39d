"""The demo: the shipped vLLM rules, unchanged except for their times, close and open the gate of a simulated
engine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from dashboards.build import BOARDS, rendered
from demo.__main__ import Demo
from demo.environment import SCOPE, DemoEnvironment
from harness.lazy_module import LazyModule
from harness.process import eventually_equal

previews = LazyModule("demo.previews")
# The demo uses neither the engine's own pause nor a watchdog.
EMPTY = {
    "Asleep",
    "Engines in sync",
    "Engines paused, engines asleep",
    "Out of sync",
    "Requests to engines",
    "Watchdog heard",
}
# The demo has no Redis, no hook, no restriction and no Dynamo, and no priority starves. Other tests check these metrics.
NOT_PLAYED = re.compile(r"wellbeing_(fleet|hook|admit_per_second|priority_starved)|dynamo_frontend_")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """The lines that the demo prints."""
    return []


@pytest.fixture(scope="module")
def played(lines: list[str]) -> Iterator[tuple[DemoEnvironment, previews.Source]]:
    with DemoEnvironment() as environment:
        began = time.time()
        play = Demo(environment, lines.append)
        play.run()
        print(play.secs)
        scraped = f'wellbeing_paused{{scope="{SCOPE}"}}'
        eventually_equal(
            lambda: environment.prometheus.value(scraped), 0, "it is scraped again after its restart"
        )
        yield environment, previews.Source(environment.prometheus.url, began, time.time())


def test_a_stuck_engine_closes_the_gate_and_its_recovery_opens_it(
    played: tuple[DemoEnvironment, previews.Source],
) -> None:
    environment, _ = played
    assert set(environment.load.statuses) == {200}, "no request was refused"
    assert environment.sidecar.counters(SCOPE)["requests_timed_out"] == 0
    told = environment.sidecar.get(f"/v1/history/{SCOPE}", params={"limit": 100}).json()["entries"]
    pause, resume = [one for one in reversed(told) if one["kind"] in ("pause", "resume")][:2]
    assert pause["source"].startswith("alert:")
    assert "serves nothing while" in pause["reason"]
    assert resume["source"] == pause["source"]


def act(lines: list[str], title: str) -> list[str]:
    """The lines below the heading of a scene."""
    (start,) = [number for number, line in enumerate(lines) if title in line]
    rest = lines[start + 1 :]
    return rest[: next(number for number, line in enumerate(rest) if line.startswith("\n"))]


def test_the_scene_with_an_agent_shows_the_gate_that_its_claim_closed(
    played: tuple[DemoEnvironment, previews.Source], lines: list[str]
) -> None:
    while_it_claims, afterwards = act(lines, "An agent is not well")
    assert "gate closed, distressed" in while_it_claims
    assert while_it_claims.count("loops without progress") == 1
    assert "gate open, healthy, 0 waiting" in afterwards


def test_the_scene_with_the_crash_shows_the_same_pause_before_and_after_the_crash(
    played: tuple[DemoEnvironment, previews.Source], lines: list[str]
) -> None:
    before, _, after, resumed = act(lines, "The sidecar is killed while paused")
    pause = re.compile(r"gate closed, .*: (before the crash \(since .+\))$")
    assert pause.search(before)[1] == pause.search(after)[1]
    assert ", 0 waiting" not in after
    assert "gate open, healthy, 0 waiting" in resumed


def panels() -> list:
    return [
        pytest.param(panel["title"], target["expr"], id=f"{board.uid}:{panel['title']}:{target['refId']}")
        for board in BOARDS
        for panel in json.loads(rendered(board))["panels"]
        for target in panel.get("targets", ())
        if panel["title"] not in EMPTY and not NOT_PLAYED.search(target["expr"])
    ]


@pytest.mark.parametrize(("title", "expression"), panels())
def test_every_panel_shows_data_of_the_demo(
    played: tuple[DemoEnvironment, previews.Source], title: str, expression: str
) -> None:
    series = played[1].series(expression)
    assert series, title
    if title.startswith("Waits"):
        assert any(value > 0 for _, points in series for _, value in points), (
            "clients report their waiting times"
        )


def test_a_panel_with_a_wrong_metric_name_shows_nothing(
    played: tuple[DemoEnvironment, previews.Source],
) -> None:
    assert not played[1].series('wellbeing_state_levle{scope="$scope"}')


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_previews_are_drawn(played: tuple[DemoEnvironment, previews.Source], board, tmp_path) -> None:
    path = tmp_path / "board.png"
    previews.draw(json.loads(rendered(board)), played[1], path)
    assert path.read_bytes().startswith(b"\x89PNG")
