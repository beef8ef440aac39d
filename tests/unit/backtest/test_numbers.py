"""The expected texts were printed by Go and by Prometheus 2.42's templates."""

from __future__ import annotations

import math

import pytest

from sidecar.backtest.numbers import (
    go_number,
    humanize,
    humanize_binary,
    humanize_duration,
    humanize_percentage,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (0.1, "0.1"), (100.0, "100"), (1234567.0, "1.234567e+06"), (1e20, "1e+20"),
        (1e21, "1e+21"), (1e22, "1e+22"), (0.0001, "0.0001"), (0.00001, "1e-05"), (-2.5, "-2.5"),
        (1 / 3, "0.3333333333333333"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
        (123456789012345680000.0, "1.2345678901234568e+20"),
    ],
)  # fmt: skip
def test_numbers_are_printed_as_in_go(value: float, text: str) -> None:
    assert go_number(value) == text


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (humanize, 0.0, "0"), (humanize, 1234567.0, "1.235M"), (humanize, 0.0123, "12.3m"), (humanize, 999.9, "999.9"),
        (humanize, math.nan, "NaN"), (humanize, -2000.0, "-2k"),
        (humanize_binary, 1536.0, "1.5ki"), (humanize_binary, 1.0, "1"),
        (humanize_duration, 0.0, "0s"), (humanize_duration, 3723.0, "1h 2m 3s"), (humanize_duration, 90061.0, "1d 1h 1m 1s"),
        (humanize_duration, 61.5, "1m 1s"), (humanize_duration, 12.3456, "12.35s"), (humanize_duration, 0.0012, "1.2ms"),
        (humanize_duration, -90.0, "-1m 30s"),
        (humanize_percentage, 0.1234567, "12.35%"), (humanize_percentage, 1.0, "100%"),
    ],
)  # fmt: skip
def test_numbers_are_humanized_as_prometheus_does(function, value: float, text: str) -> None:
    assert function(value) == text
