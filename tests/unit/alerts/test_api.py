"""Responses of Alertmanager's API, recorded from a real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.alerts import InvalidNotification, parse_active_alerts, parse_started_at

FIXTURES = Path(__file__).parents[2] / "fixtures" / "alertmanager"


def answer(name: str):
    return json.loads((FIXTURES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["api_v2_alerts.full", "api_v2_alerts.silenced"])
def test_a_real_response_is_parsed(name: str) -> None:
    listed = parse_active_alerts(answer(name))
    assert listed
    assert all(one.alert.firing and one.alert.ends_at is None for one in listed)
    raw = answer(name)
    assert [one.alert.fingerprint for one in listed] == [one["fingerprint"] for one in raw]
    assert [one.suppressed for one in listed] == [one["status"]["state"] == "suppressed" for one in raw]


def test_the_response_is_released_while_it_is_parsed() -> None:
    raw = answer("api_v2_alerts.full")
    listed = parse_active_alerts(raw)
    assert raw == [None] * len(listed)


def test_the_start_time_is_parsed() -> None:
    assert parse_started_at({"uptime": "2026-11-23T09:00:00.5Z"}) == pytest.approx(1795424400.5)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        [1],
        [{"labels": {}}],
        "x",
        [{"fingerprint": "a", "startsAt": "2026-01-01T00:00:00Z", "labels": {}, "status": "firing"}],
    ],
)
def test_anything_else_is_refused(wrong) -> None:
    with pytest.raises(InvalidNotification):
        parse_active_alerts(wrong)
    with pytest.raises(InvalidNotification):
        parse_started_at(wrong)
