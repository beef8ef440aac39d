"""Time intervals as in Alertmanager's documentation, and invalid ones."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sidecar.config import load_config
from sidecar.config.time_intervals import InvalidTimeInterval, parse_time_interval


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ({}, ["2024-02-29T12:00"], []),
        (
            {"times": [{"start_time": "06:00", "end_time": "23:59"}]},
            ["2024-05-01T06:00", "2024-05-01T23:58"],
            ["2024-05-01T05:59", "2024-05-01T23:59"],
        ),
        (
            {
                "times": [
                    {"start_time": "17:00", "end_time": "24:00"},
                    {"start_time": "00:00", "end_time": "08:00"},
                ]
            },
            ["2024-05-01T23:59", "2024-05-02T00:00", "2024-05-02T07:59"],
            ["2024-05-01T16:59", "2024-05-02T08:00"],
        ),
        # 2024-05-01 is a Wednesday.
        (
            {"weekdays": ["monday:wednesday", "saturday", "sunday"]},
            ["2024-05-01T00:00", "2024-05-05T23:59"],
            ["2024-05-02T00:00"],
        ),
        ({"weekdays": ["Monday:Friday"]}, ["2024-05-03T23:59"], ["2024-05-04T00:00"]),
        (
            {"days_of_month": ["1:5", "-3:-1"]},
            ["2024-02-01T00:00", "2024-02-27T00:00", "2024-02-29T23:59"],
            ["2024-02-06T00:00", "2024-02-26T23:59"],
        ),
        ({"days_of_month": ["1:31"]}, ["2023-02-28T00:00"], []),
        ({"days_of_month": ["30:31"]}, ["2024-04-30T00:00"], ["2024-02-29T00:00"]),
        ({"days_of_month": [-1]}, ["2023-02-28T12:00"], ["2024-02-28T12:00"]),
        ({"days_of_month": ["-31:-29"]}, ["2024-01-01T00:00", "2024-02-01T00:00"], ["2024-04-03T00:00"]),
        (
            {"months": ["1:3", "may:august", "december"]},
            ["2024-03-31T23:59", "2024-08-01T00:00", "2024-12-31T00:00"],
            ["2024-04-01T00:00", "2024-09-01T00:00"],
        ),
        ({"years": ["2020:2022", "2030"]}, ["2022-12-31T23:59", "2030-01-01T00:00"], ["2023-01-01T00:00"]),
        (
            {"years": [2024], "weekdays": ["wednesday"]},
            ["2024-05-01T00:00"],
            ["2024-05-02T00:00", "2025-05-07T00:00"],
        ),
    ],
)
def test_the_documented_forms_contain_the_expected_times(
    interval: dict[str, Any], inside: list[str], outside: list[str]
) -> None:
    parsed = parse_time_interval(interval)
    assert [text for text in inside if not parsed.contains(at(text))] == []
    assert [text for text in outside if parsed.contains(at(text))] == []


def test_a_location_uses_its_own_time_zone_with_summer_time() -> None:
    business = {"times": [{"start_time": "09:00", "end_time": "17:00"}], "location": "Australia/Sydney"}
    parsed = parse_time_interval(business)
    assert parsed.contains(at("2024-01-15T09:00", "Australia/Sydney"))
    assert parsed.contains(at("2024-07-15T16:59", "Australia/Sydney"))
    assert parsed.contains(at("2024-01-14T22:00")), "UTC+11 in January"
    assert not parsed.contains(at("2024-07-14T22:00")), "UTC+10 in July"


# The examples of Alertmanager's documentation, which have no quotes.
DOCUMENTED = """
time_intervals:
  - name: sydney
    time_intervals:
      - times:
          - start_time: 09:00
            end_time: 17:00
        weekdays: ['monday:friday']
        location: 'Australia/Sydney'
  - name: evening
    time_intervals:
      - times:
          - start_time: 17:00
            end_time: 24:00
  - name: everything
    time_intervals:
      - weekdays: ['monday:wednesday', 'saturday', 'sunday']
        days_of_month: ['1:5', '-3:-1']
        months: ['1:3', 'may:august', 'december']
        years: ['2020:2022', '2030']
  - name: local
    time_intervals:
      - location: Local
        days_of_month: [1:5]
defaults:
  mute_time_intervals: [sydney, evening, everything]
  active_time_intervals: [local]
"""


def test_the_documented_examples_are_valid(tmp_path: Path) -> None:
    (tmp_path / "sidecar.yaml").write_text(DOCUMENTED)
    policy = load_config(tmp_path / "sidecar.yaml", {}).policies.defaults
    sydney, evening, everything = policy.mute_time_intervals
    # 2022-01-03 is a Monday.
    assert [sydney.contains(at(f"2022-01-03T{time}", "Australia/Sydney")) for time in ("09:00", "16:59")] == [
        True
    ] * 2
    assert not sydney.contains(at("2022-01-03T17:00", "Australia/Sydney"))
    assert [evening.contains(at(f"2022-01-03T{time}")) for time in ("16:59", "17:00", "23:59")] == [
        False,
        True,
        True,
    ]
    assert everything.contains(at("2022-01-03T12:00"))
    assert not everything.contains(at("2022-01-10T12:00")), (
        "the day is neither in the first five nor in the last three"
    )
    assert not everything.contains(at("2022-04-04T12:00")), "April is not among the months"
    assert not everything.contains(at("2023-01-02T12:00")), "2023 is not among the years"
    assert len(policy.active_time_intervals) == 1


@pytest.mark.parametrize(
    ("interval", "why"),
    [
        ({"times": [{"start_time": "22:00", "end_time": "06:00"}]}, "split a range over midnight"),
        ({"times": [{"start_time": "08:00", "end_time": "08:00"}]}, "is not before"),
        ({"times": [{"start_time": "8:00", "end_time": "09:00"}]}, "HH:MM"),
        ({"times": [{"start_time": "08:00", "end_time": "24:01"}]}, "HH:MM"),
        ({"times": [{"start_time": 480, "end_time": "09:00"}]}, "HH:MM"),
        ({"times": [{"start_time": "08:00"}]}, "start_time and end_time"),
        ({"times": []}, "must be a list"),
        ({"weekdays": ["friday:monday"]}, "the end is before the start"),
        ({"weekdays": ["mon"]}, "must be one of sunday"),
        ({"weekdays": "monday"}, "must be a list"),
        ({"days_of_month": ["0"]}, "1 to 31"),
        ({"days_of_month": ["32"]}, "1 to 31"),
        ({"days_of_month": ["-1:5"]}, "the end must be negative"),
        ({"days_of_month": ["5:1"]}, "the end is before the start"),
        ({"days_of_month": ["-1:-3"]}, "the end is before the start"),
        ({"days_of_month": ["30:-1"]}, "the end is before the start"),
        ({"months": ["13"]}, "1 to 12"),
        ({"months": ["august:may"]}, "the end is before the start"),
        ({"years": ["2022:2020"]}, "the end is before the start"),
        ({"years": ["x"]}, "whole number"),
        ({"years": ["1:2:3"]}, "two joined by a colon"),
        ({"location": "Mars/Olympus"}, "no such time zone"),
        ({"location": "../etc/passwd"}, "no such time zone"),
        ({"hours": []}, "no such key"),
        ("monday", "must be a mapping"),
    ],
)
def test_the_error_for_an_invalid_interval_gives_the_reason(interval: object, why: str) -> None:
    with pytest.raises(InvalidTimeInterval, match=why):
        parse_time_interval(interval)
