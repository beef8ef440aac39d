"""The queries to Prometheus, and the processing of its responses. A function replaces HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.backtest.chunks import MAX_POINTS
from sidecar.backtest.errors import AnswerTooLarge, BacktestError
from sidecar.backtest.prometheus import PrometheusApi, QueryRefused, query_range
from sidecar.http_json import HttpAccess, HttpRequestFailed

STEP = 15_000
WEEK_POINTS = 40_321


class Server:
    """Answers range queries with a series that always exists.

    Args:
        series: the number of series.
        most: the limit of samples per query.
    """

    def __init__(self, series: int = 1, most: int = 10**9) -> None:
        self.series = series
        self.most = most
        self.queries: list[tuple[float, float, float]] = []

    def __call__(self, method: str, url: str, access: HttpAccess, **rest: Any) -> tuple[int, Any]:
        params = rest["params"]
        start, end, step = (float(params[name]) for name in ("start", "end", "step"))
        points = round((end - start) / step) + 1
        assert points <= MAX_POINTS
        if points * self.series > self.most:
            error = "query processing would load too many samples into memory in query execution"
            return 422, {"status": "error", "errorType": "execution", "error": error}
        self.queries.append((start, end, step))
        values = [[start + index * step, "1"] for index in range(points)]
        result = [{"metric": {"a": str(number)}, "values": values} for number in range(self.series)]
        return 200, {"status": "success", "data": {"resultType": "matrix", "result": result}}


def ask(server: Any, points: int = WEEK_POINTS) -> tuple[list[float], int]:
    """The times of one series, and the progress that was reported."""
    told: list[int] = []
    times: list[float] = []
    api = PrometheusApi("http://prometheus", request=server)
    for answer in query_range(api, "x", 0, (points - 1) * STEP, STEP, answered=told.append):
        times += [at for at, _ in answer[0][1]]
    return times, sum(told)


@pytest.mark.parametrize("series", [1, 100])
def test_each_point_of_the_range_is_queried_once(series: int) -> None:
    times, told = ask(Server(series))
    assert times == [index * 15 for index in range(WEEK_POINTS)]
    assert told == WEEK_POINTS


def test_few_series_need_few_queries_and_many_series_get_small_responses() -> None:
    few, many = Server(1), Server(100)
    ask(few)
    ask(many)
    assert len(few.queries) <= 6
    assert max((end - start) / step + 1 for start, end, step in many.queries[1:]) <= 2_500


def test_a_query_beyond_the_limits_is_sent_in_parts() -> None:
    times, _ = ask(Server(10, most=2_000), 1_000)
    assert times == [index * 15 for index in range(1_000)]


def test_a_query_whose_smallest_part_exceeds_the_limits_is_an_error() -> None:
    with pytest.raises(AnswerTooLarge):
        ask(Server(10, most=2), 1_000)


def test_a_query_whose_response_is_too_large_is_sent_in_parts() -> None:
    server = Server()

    def request(*arguments: Any, **rest: Any) -> tuple[int, Any]:
        if float(rest["params"]["end"]) - float(rest["params"]["start"]) > 3_000:
            raise HttpRequestFailed("the answer has more than 100 bytes")
        return server(*arguments, **rest)

    assert len(ask(request, 1_000)[0]) == 1_000


def failing(status: int, answer: Any, access: HttpAccess | None = None) -> str:
    api = PrometheusApi(
        "http://me:secret@prometheus/prefix/", access or HttpAccess(), lambda *_, **__: (status, answer)
    )
    with pytest.raises(BacktestError) as error:
        api.get("query")
    assert "secret" not in str(error.value)
    return str(error.value)


def test_responses_that_are_not_from_prometheus_are_recognised() -> None:
    assert "answered 200, but not as a Prometheus" in failing(200, None)
    assert "answered 404, but not as a Prometheus" in failing(404, None)
    assert "answered 200, but not as a Prometheus" in failing(200, ["x"])
    assert "answered 200, but not as a Prometheus" in failing(200, {"status": "success"})
    assert "a redirect" in failing(302, None)
    assert "(401)" in failing(401, None)
    assert "(403)" in failing(403, {"status": "error", "error": "no"})


def test_the_error_of_a_refused_query_has_the_message_of_prometheus() -> None:
    answer = {"status": "error", "errorType": "bad_data", "error": "parse error\nat 1"}
    api = PrometheusApi("http://prometheus", request=lambda *_, **__: (400, answer))
    with pytest.raises(QueryRefused) as error:
        api.get("query")
    assert str(error.value) == "parse error\\nat 1"


def test_a_result_that_is_not_a_vector_is_refused() -> None:
    answer = {"status": "success", "data": {"resultType": "string", "result": [0, "x"]}}
    api = PrometheusApi("http://prometheus", request=lambda *_, **__: (200, answer))
    with pytest.raises(QueryRefused, match="a string"):
        list(query_range(api, "x", 0, 1, 1, answered=lambda _: None))
