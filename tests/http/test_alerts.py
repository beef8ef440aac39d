"""The webhook, with notifications of a real Alertmanager and with invalid ones."""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.process import eventually
from harness.sidecar import Sidecar

FIXTURES = Path(__file__).parents[1] / "fixtures" / "alertmanager"
_numbers = itertools.count()


def fixture(name: str, scope: str) -> dict:
    """A captured notification, changed to name ``scope`` and to have unique fingerprints."""
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


def test_a_truncated_resolved_message_ends_only_the_alerts_that_it_lists(
    sidecar: Sidecar, scope: str
) -> None:
    firing = fixture("06_truncated_firing", scope)
    still = json.loads(json.dumps(firing["alerts"][0]))
    still["fingerprint"] += "-still"
    firing["alerts"].append(still)
    send(sidecar, firing)
    send(sidecar, fixture("06b_truncated_status_resolved_but_others_firing", scope))
    assert len(sidecar.status(scope)["signals"]) == 1
    assert sidecar.gate(scope, wait=0).status_code == 503


@pytest.mark.parametrize("name", ["07_odd_ctrl", "07_odd_nl", "07_odd_uni", "20_DERIVED_am0.34_shape"])
def test_unusual_and_newer_notifications_are_accepted(sidecar: Sidecar, scope: str, name: str) -> None:
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
def test_the_error_for_a_malformed_notification_has_its_position_and_nothing_changes(
    sidecar, scope, spoil, status, where
) -> None:
    answer = sidecar.notify(spoil(fixture("03_group_firing_4", scope)))
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert where in answer.json()["detail"]
    assert len(answer.content) < 1000
    after = sidecar.status(scope)
    assert (after["signals"], after["state"], after["follows"]) == ([], "healthy", "")


def test_a_chunked_notification_is_accepted(sidecar: Sidecar, scope: str) -> None:
    body = json.dumps(fixture("01_single_firing", scope)).encode()
    answer = sidecar.session.post(f"{sidecar.url}/v1/alerts", data=iter([body[:100], body[100:]]), timeout=60)
    assert answer.json()["alerts"]["applied"] == 1
    assert sidecar.status(scope)["state"] == "distressed"


def built(labels: dict[str, str], *, fingerprint: str, status: str = "firing") -> dict:
    ends = "2030-01-01T00:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    alert = {"status": status, "labels": labels, "annotations": {}, "fingerprint": fingerprint}
    alert |= {"startsAt": "2026-01-01T00:00:00Z", "endsAt": ends}
    return {"version": "4", "receiver": "r", "status": status, "alerts": [alert]}


def test_an_unrelated_alert_is_ignored_and_logged_once(sidecar: Sidecar) -> None:
    labels = {"alertname": "DiskFullHere", "severity": "critical", "instance": "not to be logged"}
    for number in range(3):
        assert send(sidecar, built(labels, fingerprint=f"disk{number}"))["ignored"] == 1
    assert sidecar.gate("anything", wait=0).status_code == 200
    assert sidecar.status()["signals"] == []
    [line] = [one for one in sidecar.logs("alert_ignored") if one["alertname"] == "DiskFullHere"]
    assert line["labels"] == ["alertname", "instance", "severity"]
    assert line["peer"] == "127.0.0.1"
    assert "wellbeing_scope" in line["why"]
    assert "not to be logged" not in json.dumps(line)
    resolve = built(labels, fingerprint="disk0", status="resolved")
    assert send(sidecar, resolve)["ignored"] == 1


@pytest.mark.parametrize("value", ["", "/", "a/", "/a", "ns//pod", "..//a"])
def test_an_alert_with_an_empty_segment_does_not_apply_to_the_parent_scope(
    sidecar: Sidecar, value: str
) -> None:
    counted = 'wellbeing_webhook_alerts_total{outcome="misdirected",status="firing"}'
    before = sidecar.metric(counted)
    labels = {"alertname": f"Widening{value}", "severity": "critical", "wellbeing_scope": value}
    assert send(sidecar, built(labels, fingerprint="wide"))["misdirected"] == 1
    assert sidecar.metric(counted) == before + 1
    for scope in ("", "a", "ns"):
        assert sidecar.status(scope)["signals"] == []
    line = eventually(
        lambda: next(
            (one for one in sidecar.logs("alert_misdirected") if one["alertname"] == f"Widening{value}"), None
        ),
        "it is logged",
    )
    assert line["label"] == "wellbeing_scope"


def test_a_label_of_dots_makes_a_separate_scope_below_its_parent(sidecar: Sidecar, scope: str) -> None:
    labels = {"alertname": "Dots", "severity": "critical", "wellbeing_scope": f"{scope}/.."}
    assert send(sidecar, built(labels, fingerprint=f"dots-{scope}"))["applied"] == 1
    below = {one["scope"] for one in sidecar.status(scope, below="true")["below"]}
    assert below == {f"{scope}/..~{hashlib.sha256(b'..').hexdigest()[:8]}"}
    assert sidecar.gate(scope).status_code == 200


@pytest.mark.parametrize("path", ["..", ".", "a/..", "a/../b", "%2e%2e", "a/%2E%2e/b", "a/%2e", "a/.%2e"])
@pytest.mark.parametrize("route", ["gate", "watch", "status", "history", "pause", "state"])
def test_a_segment_of_dots_is_refused_in_every_encoding(sidecar: Sidecar, route: str, path: str) -> None:
    method = {"pause": "POST", "state": "PUT"}.get(route, "GET")
    body = b'{"reason": "x", "state": "distressed"}'
    with socket.create_connection(sidecar.where, timeout=60) as connection:
        head = f"{method} /v1/{route}/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"is . or .." in answer


def test_the_page_and_the_metrics_name_the_alert_that_pauses(sidecar: Sidecar, scope: str) -> None:
    labels = {"alertname": f"Named-{scope}", "severity": "critical", "wellbeing_scope": scope}
    send(sidecar, built(labels, fingerprint=f"named-{scope}"))
    assert f"Named-{scope}" in sidecar.get("/").text
    info = next(
        line for line in sidecar.get("/metrics").text.splitlines() if f'alertname="Named-{scope}"' in line
    )
    assert info.startswith("wellbeing_pause_info{")
    line = next(one for one in sidecar.logs("pause") if one["scope"] == scope)
    assert line["alertname"] == f"Named-{scope}"


def test_every_alert_can_still_end_after_the_rules_change(tmp_path: Path) -> None:
    rules = [{"state": "distressed", "scope": ["team"]}]
    config = {"defaults": {"pause_on_distressed": True}, "alerts": {"rules": rules}}
    labels = {"alertname": "T", "team": "a"}
    with Sidecar(config, folder=tmp_path) as own:
        send(own, built(labels, fingerprint="t"))
        own.wait_for_gate("a", "closed")
        for changed in ([{"state": "distressed", "scope": ["tenant", "team"]}], [{"state": "ignore"}]):
            own.configure({**config, "alerts": {"rules": changed}})
            own.ok_reload()
            assert send(own, built(labels, fingerprint="t"))["applied"] == 0
            assert own.status("a")["gate"] == "closed", "what cannot be told of it ends nothing"
        assert send(own, built(labels, fingerprint="t", status="resolved"))["applied"] == 1
        assert own.status("a")["gate"] == "open"


def test_an_alert_that_no_rule_matches_is_logged_with_the_names_of_its_labels(tmp_path: Path) -> None:
    config = {"alerts": {"rules": [{"matchers": ["team=a"], "state": "distressed", "scope": ["team"]}]}}
    with Sidecar(config, folder=tmp_path) as own:
        for number in range(100):
            labels = {"alertname": f"Other{number % 50}", "token": "secret"}
            assert send(own, built(labels, fingerprint=f"o{number}"))["ignored"] == 1
        own.claim("x", "cautious")
        own.wait_log("intervention")
        lines = own.logs("alert_ignored")
        assert 0 < len(lines) <= 20, "limited in rate"
        assert lines[0]["labels"] == ["alertname", "token"]
        assert not any("secret" in line for line in own.lines)


def test_grafanas_contact_point_is_accepted_and_its_resolve_opens_the_gate(sidecar: Sidecar) -> None:
    body = json.loads((FIXTURES / "30_DERIVED_grafana.json").read_text())
    began = datetime.now(UTC).isoformat()
    for alert in body["alerts"]:
        alert["labels"]["wellbeing_scope"] = alert["labels"]["wellbeing_scope"].replace("team-a", "grafana")
        alert["startsAt"] = began
    body["alerts"][1]["endsAt"] = began
    answer = sidecar.notify(json.dumps(body).encode())
    assert answer.status_code == 200, answer.text
    status = sidecar.status("grafana/llama")
    assert (status["gate"], status["reason"]) == ("closed", "120 requests wait in llama")
    assert status["signals"][0]["alertname"] == "High queue"
    body["alerts"][0] |= {"status": "resolved", "endsAt": datetime.now(UTC).isoformat()}
    sidecar.notify(json.dumps(body).encode())
    sidecar.wait_for_gate("grafana/llama", "open")


def test_another_payload_version_is_refused_and_named(sidecar: Sidecar) -> None:
    answer = sidecar.notify(b'{"version": "2", "alerts": []}')
    assert answer.status_code == 400
    assert 'version: must be "4" (Alertmanager) or "1" (Grafana)' in answer.json()["detail"]
