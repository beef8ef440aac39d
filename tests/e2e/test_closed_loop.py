"""The closed loop in its short form: real Prometheus, Alertmanager and sidecar, the shipped rules, simulated engines.

``make loop`` runs the long form. The result does not depend on the speed of the machine, because each step
waits for the previous step.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.loop import Loop, short_loop
from demo.loop_cases import PAUSED_SHARE, PODS, SHORT, TRIAL_REQUESTS
from demo.loop_subjects import Result


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Loop, dict[str, Result]]]:
    with short_loop() as loop:
        yield loop, {result.name: result for result in loop.run()}


@pytest.mark.parametrize("name", [case.name for case in SHORT if case.way != "restricted"])
def test_a_gate_closes_and_then_opens_for_good_when_the_cause_is_gone(
    played: tuple[Loop, dict[str, Result]], name: str
) -> None:
    result = played[1][name]
    print(result)
    assert result.pauses > 0, "the gate closed"
    assert result.settled, "the gate opened after the cause was gone, and stayed open"
    assert result.recovered > 0, "the cause was gone before the gate opened"
    assert result.ended_by_max_pause == 0, "no pause ended by max_pause_secs"
    assert result.answered > 0


def test_a_restriction_serves_an_overload_without_oscillation_or_lost_requests(
    played: tuple[Loop, dict[str, Result]],
) -> None:
    result = played[1]["vllm-overload-restricted-none"]
    assert (result.pauses, result.lost) == (1, 0)
    # A full engine that preempts requests serves 5.3 requests per second.
    assert result.goodput_closed >= 0.8 * 5.3


def test_a_trial_at_a_broken_engine_loses_only_the_requests_of_the_trial(
    played: tuple[Loop, dict[str, Result]],
) -> None:
    assert 0 < played[1]["vllm-restarted-trial-none"].lost_unmended <= TRIAL_REQUESTS


def test_a_wrong_rule_that_fires_for_all_engines_pauses_only_the_maximum_share(
    played: tuple[Loop, dict[str, Result]],
) -> None:
    [group] = played[0].pods()
    assert (group.paused, group.pods) == (PODS * PAUSED_SHARE, PODS)
    assert group.opened == 0, "the rule fires until the end"
    assert group.answered > PAUSED_SHARE * 0.8, "the other engines serve requests"


def test_a_progress_rule_without_its_mask_never_opens_the_gate_of_a_paused_engine(
    played: tuple[Loop, dict[str, Result]],
) -> None:
    assert played[0].planted_holds
