"""The closed loop in its short form: real Prometheus, Alertmanager and sidecar, the shipped rules, simulated engines.

``make loop`` plays the long one. Nothing here depends on how fast the machine is: each step waits for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.loop import Loop, Result, short_loop
from demo.loop_cases import SHORT


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Loop, dict[str, Result]]]:
    with short_loop() as loop:
        yield loop, {result.name: result for result in loop.run()}


@pytest.mark.parametrize("name", [case.name for case in SHORT])
def test_a_gate_closes_opens_by_itself_once_the_cause_is_gone_and_stays_open(
    played: tuple[Loop, dict[str, Result]], name: str
) -> None:
    result = played[1][name]
    print(result)
    assert result.pauses > 0, "it closed"
    assert result.settled, "it opened after the cause was gone, and stayed open"
    assert result.recovered > 0, "the cause was gone before it opened"
    assert result.ended_by_max_pause == 0, "it needed no time limit"
    assert result.answered > 0


def test_an_unmasked_rule_on_progress_holds_the_gate_of_a_kept_engine_for_ever(
    played: tuple[Loop, dict[str, Result]],
) -> None:
    assert played[0].planted_holds
