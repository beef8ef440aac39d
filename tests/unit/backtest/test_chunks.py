from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.backtest.chunks import MAX_POINTS, ChunkSize


@given(st.lists(st.tuples(st.integers(1, MAX_POINTS), st.integers(0, 10**8)) | st.none(), max_size=30))
def test_every_query_asks_for_at_least_one_point_and_at_most_the_limit_of_prometheus(answers: list) -> None:
    size = ChunkSize()
    for answer in answers:
        if answer is None:
            size.refused()
        else:
            size.answered(*answer)
        assert 0 < size.points <= MAX_POINTS


def test_dense_responses_make_queries_shorter_and_sparse_ones_longer() -> None:
    size = ChunkSize()
    size.answered(2_000, 2_000_000)
    assert size.points == 250
    size.answered(250, 250)
    assert size.points == 1_000
    size.answered(1_000, 0)
    assert size.points == MAX_POINTS


def test_after_refusals_queries_become_smaller_down_to_a_minimum() -> None:
    size = ChunkSize()
    seen = []
    while size.refused():
        seen.append(size.points)
    assert seen == [500, 125, 50]
