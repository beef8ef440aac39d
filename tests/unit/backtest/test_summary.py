from __future__ import annotations

from sidecar.backtest.recorder import RecordedPause
from sidecar.backtest.spans import share, span
from sidecar.backtest.summary import summarize_scopes, timed_pauses
from sidecar.core.state import WellbeingState

START, END = 10_000.0, 20_000.0
LABELS = {"alert:1": {"alertname": "A"}, "alert:2": {"alertname": "B"}}


def pause(
    began: float, ended: float | None, source: str = "alert:1", scope: str = "s", cause: str = "recovered"
) -> RecordedPause:
    return RecordedPause(scope, began, ended, cause if ended else "", source, "why")


def timed(*pauses: RecordedPause) -> list:
    return timed_pauses(pauses, LABELS, {"s": False, "t": True}, START, END)


def test_pauses_are_cut_to_the_range() -> None:
    found = timed(
        pause(8_000, 9_000),
        pause(9_500, 10_500),
        pause(15_000, 15_100),
        pause(19_000, None),
        pause(20_000, None),
    )
    assert [(one.began, one.secs) for one in found] == [(9_500, 500), (15_000, 100), (19_000, 1_000)]


def test_a_pause_soon_after_the_previous_one_of_its_scope_is_a_flap() -> None:
    found = timed(
        pause(9_000, 9_900),
        pause(10_100, 10_200),
        pause(10_300, 10_400, scope="t"),
        pause(10_900, 11_000),
        pause(11_600, 11_700),
    )
    assert [(one.scope, one.flap) for one in found] == [("s", True), ("t", False), ("s", False), ("s", False)]
    assert timed(pause(11_000, 11_100), pause(11_699, 11_800))[1].flap


def test_a_summary_has_the_totals_of_a_scope() -> None:
    pauses = timed(pause(11_000, 11_500), pause(11_600, 11_700, "alert:2"), pause(19_900, None, cause=""))
    states = {"s": [(11_000.0, WellbeingState.DISTRESSED), (11_500.0, WellbeingState.HEALTHY)]}
    [scope] = summarize_scopes(pauses, states, {"s": False}, START, END)
    assert (scope.pauses, scope.paused_secs, scope.longest_secs, scope.flaps, scope.share) == (
        3,
        700,
        500,
        1,
        0.07,
    )
    assert scope.by_alert == {"A": (2, 600), "B": (1, 100)}
    assert scope.states[0] == (START, WellbeingState.HEALTHY)


def test_a_scope_that_was_never_unwell_in_the_range_is_left_out() -> None:
    states = {
        "s": [(9_000.0, WellbeingState.DISTRESSED), (9_500.0, WellbeingState.HEALTHY)],
        "t": [(9_000.0, WellbeingState.CONCERNED)],
    }
    found = summarize_scopes([], states, {"s": False, "t": False}, START, END)
    assert [one.scope for one in found] == ["t"]
    assert found[0].states == ((START, WellbeingState.CONCERNED),)


def test_durations_and_shares_are_printed_briefly() -> None:
    assert [span(secs) for secs in (0, 0.4, 59.6, 90, 3_600, 3_725, 90_000)] == [
        "0s", "0.4s", "1m", "1m 30s", "1h", "1h 2m", "1d 1h",
    ]  # fmt: skip
    assert [share(part) for part in (0, 0.0001, 0.5, 1)] == ["0.0%", "<0.1%", "50.0%", "100.0%"]
