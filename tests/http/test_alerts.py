"""The webhook, with what a real Alertmanager sent and with what nobody should send."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from harness.sidecar import Sidecar

FIXTURES = Path(__file__).parents[1] / "fixtures" / "alertmanager"
_numbers = itertools.count()


def fixture(name: str, scope: str) -> dict:
    """A captured notification, moved to ``scope`` and given fingerprints of its own."""
    message = json.loads((FIXTURES / f"{name}.json").read_bytes())
    for alert in message["alerts"]:
        alert["labels"]["wellbeing_scope"] = scope
        alert["fingerprint"] += f"-{scope}"
    return message


def send(sidecar: Sidecar, message: dict) -> dict:
    return sidecar.ok(sidecar.notify(json.dumps(message).encode()))["alerts"]


def test_a_captured_alert_pauses_and_its_resolve_resumes(sidecar: Sidecar, scope: str) -> None:
    assert send(sidecar, fixture("01_single_firing", scope))["applied"] == 1
    snapshot = sidecar.gate(scope, wait=0).json()
    assert (snapshot["state"], snapshot["reason"]) == ("distressed", "Signal 0.90 on 127.0.0.1:19100")
    assert send(sidecar, fixture("01_single_firing", scope))["repeated"] == 1
    assert sidecar.counters(scope)["pauses_total"] == 1
    assert send(sidecar, fixture("02_single_resolved", scope))["applied"] == 1
    assert sidecar.gate(scope).status_code == 200
    assert send(sidecar, fixture("01_single_firing", scope))["stale"] == 1
    assert sidecar.gate(scope).status_code == 200


def test_each_alerts_own_status_counts(sidecar: Sidecar, scope: str) -> None:
    send(sidecar, fixture("03_group_firing_4", scope))
    assert len(sidecar.status(scope)["signals"]) == 4
    send(sidecar, fixture("04_group_mixed_status", scope))
    assert len(sidecar.status(scope)["signals"]) == 2
    assert sidecar.gate(scope, wait=0).status_code == 503


def test_a_truncated_message_that_says_resolved_ends_only_what_it_lists(sidecar: Sidecar, scope: str) -> None:
    firing = fixture("06_truncated_firing", scope)
    still = json.loads(json.dumps(firing["alerts"][0]))
    still["fingerprint"] += "-still"
    firing["alerts"].append(still)
    send(sidecar, firing)
    send(sidecar, fixture("06b_truncated_status_resolved_but_others_firing", scope))
    assert len(sidecar.status(scope)["signals"]) == 1
    assert sidecar.gate(scope, wait=0).status_code == 503


@pytest.mark.parametrize("name", ["07_odd_ctrl", "07_odd_nl", "07_odd_uni", "20_DERIVED_am0.34_shape"])
def test_odd_and_newer_notifications_are_taken(sidecar: Sidecar, scope: str, name: str) -> None:
    assert send(sidecar, fixture(name, scope))["applied"] >= 1
    assert sidecar.get("/metrics").status_code == 200


def _changed(**changes):
    def change(message: dict) -> bytes:
        message.update(changes)
        return json.dumps(message).encode()

    return change


def _alert(**changes):
    def change(message: dict) -> bytes:
        for key, value in changes.items():
            if value is None:
                del message["alerts"][-1][key]
            else:
                message["alerts"][-1][key] = value
        return json.dumps(message).encode()

    return change


@pytest.mark.parametrize(
    ("spoil", "status", "where"),
    [
        (lambda _: b"not json", 400, "body: is not JSON"),
        (lambda _: b"", 400, "body: is not JSON"),
        (lambda _: b"[1]", 400, "body: must be an object"),
        (lambda _: b'{"version": "4", "alerts": [NaN]}', 400, "NaN"),
        (lambda _: b"\xff\xfe{}", 400, "body: is not UTF-8"),
        (lambda _: b"[" * 100_000, 400, "body: is nested too deeply"),
        (lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "body: is nested too deeply"),
        (lambda message: json.dumps(message)[:-40].encode(), 400, "body: is not JSON"),
        (_changed(version="3"), 400, "version: must be"),
        (_changed(version=4), 400, "version: must be a string"),
        (_changed(alerts={}), 400, "alerts: must be a list"),
        (_changed(alerts=["x"]), 400, "alerts[0]: must be an object"),
        (_changed(truncatedAlerts=-1), 400, "truncatedAlerts"),
        (_changed(receiver=7), 400, "receiver: must be a string"),
        (_alert(status="maybe"), 400, "alerts[3].status"),
        (_alert(status=None), 400, "alerts[3].status: is missing"),
        (_alert(labels=None), 400, "alerts[3].labels: is missing"),
        (_alert(labels={"a": 1}), 400, "alerts[3].labels.a: must be a string"),
        (_alert(annotations=[]), 400, "alerts[3].annotations: must be an object"),
        (_alert(startsAt="yesterday"), 400, "alerts[3].startsAt: must be a time"),
        (_alert(startsAt="2026-13-41T00:00:00Z"), 400, "alerts[3].startsAt"),
        (_alert(status="resolved"), 400, "alerts[3].endsAt: must be a real time"),
        (_alert(fingerprint=""), 400, "alerts[3].fingerprint"),
        (_alert(fingerprint=None), 400, "alerts[3].fingerprint: is missing"),
        (lambda message: json.dumps(message).encode() + b" " * 10_000_000, 413, "max_body_bytes"),
        (lambda message: _changed(alerts=message["alerts"] * 26)(message), 413, "has 104 alerts"),
    ],
)
def test_a_malformed_notification_says_where_and_changes_nothing(
    sidecar, scope, spoil, status, where
) -> None:
    answer = sidecar.notify(spoil(fixture("03_group_firing_4", scope)))
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert where in answer.json()["detail"]
    assert len(answer.content) < 1000
    after = sidecar.status(scope)
    assert (after["signals"], after["state"], after["follows"]) == ([], "healthy", "")


def test_a_chunked_notification_is_taken(sidecar: Sidecar, scope: str) -> None:
    body = json.dumps(fixture("01_single_firing", scope)).encode()
    answer = sidecar.session.post(f"{sidecar.url}/v1/alerts", data=iter([body[:100], body[100:]]), timeout=10)
    assert answer.json()["alerts"]["applied"] == 1
    assert sidecar.status(scope)["state"] == "distressed"
