"""The periods computed by runs equal those of an evaluation point by point."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.backtest.periods import extend_runs, firing_periods, runs_of

STEP = 15_000
PRESENCE = st.lists(st.booleans(), max_size=60)


def samples(presence: list[bool], step: int = STEP, start: int = 1_700_000_000_000) -> list[list]:
    return [[(start + index * step) / 1000, "1"] for index, here in enumerate(presence) if here]


def evaluate_point_by_point(presence: list[bool], hold: int, keep: int) -> list[tuple[int, int | None]]:
    """Prometheus' ``AlertingRule.Eval``, line by line."""
    state, active_at, fired_at, keep_since = "inactive", 0, 0, None
    periods = []
    for index, here in enumerate(presence):
        ts = index * STEP
        if here:
            keep_since = None
            if state == "inactive":
                state, active_at = "pending", ts
        elif state == "pending":
            state = "inactive"
        elif state == "firing":
            keep_since = ts if keep_since is None else keep_since
            if not (keep > 0 and ts - keep_since < keep):
                state = "inactive"
                periods.append((fired_at, ts))
        if state == "pending" and ts - active_at >= hold:
            state, fired_at = "firing", ts
    return [*periods, (fired_at, None)] if state == "firing" else periods


@given(PRESENCE, st.integers(0, 8 * STEP), st.integers(0, 8 * STEP))
def test_for_and_keep_firing_for_work_as_in_prometheus(presence: list[bool], hold: int, keep: int) -> None:
    runs = runs_of(samples(presence, start=0), STEP)
    last = (len(presence) - 1) * STEP
    assert firing_periods(runs, STEP, hold, keep, last) == evaluate_point_by_point(presence, hold, keep)


@given(PRESENCE, st.integers(1, 20))
def test_runs_do_not_depend_on_the_division_of_the_responses(presence: list[bool], size: int) -> None:
    whole = samples(presence)
    in_chunks: list = []
    for first in range(0, len(whole), size):
        extend_runs(in_chunks, runs_of(whole[first : first + size], STEP), STEP)
    assert in_chunks == runs_of(whole, STEP)


@given(PRESENCE)
def test_runs_contain_each_sample_and_nothing_else(presence: list[bool]) -> None:
    points = [
        point
        for first, last in runs_of(samples(presence, start=0), STEP)
        for point in range(first, last + 1, STEP)
    ]
    assert points == [index * STEP for index, here in enumerate(presence) if here]


def test_an_alert_that_fires_at_the_last_point_has_not_ended() -> None:
    assert firing_periods([(0, 30_000)], STEP, 0, 0, 30_000) == [(0, None)]
    assert firing_periods([(0, 30_000)], STEP, 0, 0, 45_000) == [(0, 45_000)]


def test_a_new_run_while_the_alert_is_kept_firing_continues_it() -> None:
    runs = [(0, 0), (45_000, 45_000)]
    assert firing_periods(runs, STEP, 0, 2 * STEP, 600_000) == [(0, 90_000)]
    assert firing_periods(runs, STEP, 0, STEP, 600_000) == [(0, 30_000), (45_000, 75_000)]
