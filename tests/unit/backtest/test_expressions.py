from __future__ import annotations

import pytest

from sidecar.backtest.expressions import names_in


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", {"up"}),
        ('sum by (job) (rate(vllm:requests_total{name="x"}[5m])) > 0', {"vllm:requests_total"}),
        ("sum(rate(a[5m])) by (le, b) / on (c) group_left (d) e", {"a", "e"}),
        ('{__name__="a:b", x="y"}', {"a:b"}),
        ('{"a:b"}', {"a:b"}),
        ("a and b or c unless d", {"a", "b", "c", "d"}),
        ("max_over_time(a[5m:1m] offset 1h) > bool 1e3", {"a"}),
        ("a # b\n+ c", {"a", "c"}),
        ("vector(1)", set()),
        ('label_replace(a, "b", "$1", "c", "d:e{f}")', {"a"}),
        ("a{b=~\"x}y\", c!='[5m]'} > 0x1F", {"a"}),
        ("a @ start() + Inf", {"a"}),
        ("1 > time()", set()),
    ],
)
def test_the_series_of_an_expression_are_found(expression: str, names: set[str]) -> None:
    assert names_in(expression) == names
