"""Misleading behaviour of real Alertmanagers. The gate has the right state nevertheless."""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import yaml

from harness.monitoring import Alertmanager
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from harness.sidecar_pair import CLOSED, CRITICAL, ROUNDS, SidecarPair
from harness.tls import certify


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[SidecarPair]:
    with ExitStack() as stack:
        yield SidecarPair(stack, tmp_path)


def test_alerts_left_out_of_a_truncated_notification_are_queried(pair: SidecarPair) -> None:
    am = pair.alertmanager(max_alerts=2)
    own = pair.sidecar(reconcile_secs=3600)
    pair.own.wait_for_metric(ROUNDS, 1)
    scopes = [f"s{number}" for number in range(5)]
    for scope in scopes:
        am.fire("Many", **CRITICAL, wellbeing_scope=scope)
    for scope in scopes:
        own.wait_for_gate(scope, "closed")
    for scope in scopes[:3]:
        am.resolve("Many", **CRITICAL, wellbeing_scope=scope)
    for scope in scopes[:3]:
        own.wait_for_gate(scope, "open")
    assert [own.status(scope)["gate"] for scope in scopes[3:]] == ["closed", "closed"]


def test_an_alert_whose_resolve_is_never_sent_ends(pair: SidecarPair) -> None:
    pair.alertmanager(send_resolved=False)
    pair.sidecar()
    pair.pause_by("Silent")
    pair.settled()
    assert pair.own.status()["gate"] == "closed"
    pair.am.resolve("Silent", **CLOSED)
    pair.own.wait_for_gate("", "open")
    assert pair.own.metric('wellbeing_reconcile_corrections_total{what="ended"}') == 1
    assert pair.own.wait_log("reconciled")["ended"] == 1
    [entry, *_] = pair.own.get("/v1/history").json()["entries"]
    assert "Alertmanager does not list it any more" in entry["reason"]


def test_an_alert_whose_resolve_was_lost_while_the_sidecar_was_down_ends_within_an_interval(
    pair: SidecarPair,
) -> None:
    # The webhook retries only for a short time, so the resolve is lost.
    pair.alertmanager(route={"repeat_interval": "4h"})
    own = pair.sidecar(reconcile_secs=5)
    pair.pause_by("Lost")
    own.kill()
    pair.am.resolve("Lost", **CLOSED)
    eventually(lambda: not pair.am.listed("Lost"), "Alertmanager no longer lists the alert")
    eventually(
        lambda: any("connection refused" in line for line in pair.am.lines),
        "Alertmanager's notification failed",
    )
    # No server listens at the webhook any more, so only polling helps.
    own = Sidecar(yaml_of(own), store="sqlite:state.db", folder=own.config_path.parent)
    with own:
        own.wait_for_gate("", "open")
        assert not own.logs("reconcile_failed")


def yaml_of(own: Sidecar) -> dict:
    return yaml.safe_load(own.config_path.read_text())


def test_an_alert_with_a_start_in_the_future_can_end(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar(urls=[])
    pair.am.fire_without_start("ByHand", **CLOSED)
    own.wait_for_gate("", "closed")
    assert own.status()["signals"][0]["since"] > own.status()["holds"][0]["since"]
    pair.am.resolve("ByHand", **CLOSED)
    own.wait_for_gate("", "open")


def test_a_silenced_alert_is_ignored_until_its_silence_ends(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar()
    pair.pause_by("Known")
    pair.am.silence("Known")
    own.wait_for_gate("", "open")
    [entry, *_] = own.get("/v1/history").json()["entries"]
    assert "silenced or inhibited" in entry["reason"]
    [silence] = pair.am.session().get(f"{pair.am.url}/api/v2/silences", timeout=30).json()
    pair.am.session().delete(f"{pair.am.url}/api/v2/silence/{silence['id']}", timeout=30)
    own.wait_for_gate("", "closed")


def test_an_alert_that_resolves_while_silenced_ends(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar(alertmanager={"count_suppressed": True})
    pair.pause_by("Known")
    pair.am.silence("Known")
    eventually_equal(lambda: pair.am.listed("Known"), ["suppressed"], "the alert is silenced")
    pair.settled()
    assert own.status()["gate"] == "closed", "count_suppressed is set"
    pair.am.resolve("Known", **CLOSED)
    own.wait_for_gate("", "open")


def test_an_alert_that_resolves_while_alertmanager_is_down_ends(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar()
    pair.pause_by("Gone")
    pair.am.kill()
    own.wait_for_metric('wellbeing_reconciliations_total{result="unreachable"}', 2)
    assert own.status()["gate"] == "closed", "an unreachable Alertmanager changes nothing"
    assert own.metric(f'wellbeing_alertmanager_up{{alertmanager="{pair.am.url}"}}') == 0
    assert len(own.logs("alertmanager_unreachable")) == 1
    pair.am.restart()
    own.wait_for_gate("", "open")
    assert own.metric(f'wellbeing_alertmanager_up{{alertmanager="{pair.am.url}"}}') == 1


def test_an_empty_list_after_a_restart_of_alertmanager_ends_no_alert(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar(alertmanager={"min_uptime_secs": 300})
    pair.pause_by("Still")
    pair.am.kill()
    pair.am.restart()
    assert pair.am.listed("Still") == []
    own.wait_for_metric(ROUNDS, own.metric(ROUNDS) + 3)
    assert own.status()["gate"] == "closed"


def test_a_restarted_sidecar_pauses_before_any_notification(pair: SidecarPair) -> None:
    pair.alertmanager(route={"repeat_interval": "4h"})
    own = pair.sidecar(reconcile_secs=3600)
    pair.pause_by("Fires")
    own.kill()
    own.restart()
    assert own.gate(wait=0).status_code == 503, "the first request already meets a closed gate"
    own.kill()
    for file in own.config_path.parent.glob("state.db*"):
        file.unlink()
    own.restart()
    own.wait_for_gate("", "closed")
    assert own.metric('wellbeing_webhook_notifications_total{result="accepted"}') == 0


def test_a_sidecar_with_a_new_store_queries_the_firing_alerts(pair: SidecarPair, tmp_path: Path) -> None:
    pair.alertmanager(route={"repeat_interval": "4h"})
    own = pair.sidecar(reconcile_secs=3600)
    pair.pause_by("Fires")
    own.kill()
    for file in tmp_path.glob("state.db-*"):
        file.unlink()
    (tmp_path / "state.db").write_bytes(b"not what it was" * 1000)
    own.configure({**yaml_of(own), "store": {"on_corrupt": "quarantine"}})
    own.restart()
    own.wait_log("store_quarantined")
    own.wait_for_gate("", "closed")


def test_a_notification_refused_because_of_the_store_is_sent_again(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar(urls=[])
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    # No file may grow: writes fail as on a full disk.
    resource.prlimit(own.worker_pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    pair.am.fire("Early", **CLOSED)
    own.wait_for_metric('wellbeing_webhook_notifications_total{result="unavailable"}', 2)
    assert own.status()["signals"] == []
    resource.prlimit(own.worker_pid, resource.RLIMIT_FSIZE, unlimited)
    own.wait_for_gate("", "closed")
    assert own.metric("wellbeing_store_up") == 1
    pair.am.resolve("Early", **CLOSED)
    own.wait_for_gate("", "open")


def test_two_alertmanagers_with_the_same_alert_count_once_and_one_of_them_suffices(pair: SidecarPair) -> None:
    pair.alertmanager()
    with Alertmanager(pair.webhook) as other:
        own = pair.sidecar(urls=[pair.am.url, other.url])
        for one in (pair.am, other):
            one.fire("Twice", **CLOSED)
        own.wait_for_metric('wellbeing_webhook_notifications_total{result="accepted"}', 2)
        own.wait_for_gate("", "closed")
        assert len(own.status()["signals"]) == 1
        assert own.counters()["interventions_total"] == 1
        pair.am.kill()
        own.wait_for_metric(ROUNDS, own.metric(ROUNDS) + 3)
        assert own.status()["gate"] == "closed"
        other.silence("Twice")
        own.wait_for_gate("", "open")


def test_a_query_ends_no_alert_of_other_receivers_or_labels(pair: SidecarPair) -> None:
    name = "team.a/b+c (prod)"
    pair.alertmanager(receiver=name)
    own = pair.sidecar(alertmanager={"receiver": name, "filter": ['team="a"']})
    pair.pause_by("Ours", team="a", wellbeing_scope="ours")
    pair.pause_by("NotAsked", team="b", wellbeing_scope="not-asked")
    fixture = Path(__file__).parents[1] / "fixtures" / "alertmanager" / "01_single_firing.json"
    message = json.loads(fixture.read_bytes())
    for alert in message["alerts"]:
        alert["labels"]["wellbeing_scope"] = "*"
    assert own.notify(json.dumps(message).encode()).status_code == 200
    others = {scope: own.status(scope)["signals"] for scope in ("", "not-asked")}
    assert sum(len(signals) for signals in others.values()) == 2
    pair.am.kill()
    pair.am.restart()
    eventually_equal(lambda: own.status("ours")["state"], "healthy", "the alert of the own receiver ends")
    pair.settled()
    assert {scope: own.status(scope)["signals"] for scope in others} == others


def test_alertmanager_is_queried_with_a_password_over_tls(pair: SidecarPair, tmp_path: Path) -> None:
    certify(tmp_path)
    pair.alertmanager(secured=tmp_path)
    (tmp_path / "password").write_text("open sesame\n")
    asking = {
        "username": "sidecar",
        "password_file": str(tmp_path / "password"),
        "ca_file": str(tmp_path / "cert.pem"),
    }
    pair.am.fire("Before", **CLOSED)
    own = pair.sidecar(alertmanager=asking)
    own.wait_for_gate("", "closed")
    (tmp_path / "password").write_text("wrong")
    own.wait_for_metric('wellbeing_reconciliations_total{result="unreachable"}', 1)
    assert "answered 401" in own.wait_log("alertmanager_unreachable")["error"]
    assert own.status()["gate"] == "closed"


def test_alertmanager_is_queried_with_a_token(pair: SidecarPair, tmp_path: Path) -> None:
    am = pair.alertmanager()
    am.fire("Before", **CLOSED)
    (tmp_path / "token").write_text("secret-token\n")

    class Guard(BaseHTTPRequestHandler):
        """A proxy that refuses requests without the token."""

        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "Bearer secret-token"
            answer = requests.get(am.url + self.path, timeout=30) if allowed else None
            self.send_response(answer.status_code if answer is not None else 403)
            body = answer.content if answer is not None else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as guard:
        threading.Thread(target=guard.serve_forever, daemon=True).start()
        own = pair.sidecar(
            urls=[f"http://127.0.0.1:{guard.server_address[1]}"],
            alertmanager={"bearer_token_file": str(tmp_path / "token")},
        )
        own.wait_for_gate("", "closed")
        guard.shutdown()


def test_a_slow_response_of_alertmanager_delays_no_request(pair: SidecarPair) -> None:
    pair.alertmanager()
    pair.am.fire("Bad", **CLOSED)
    stop = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not stop.wait(0.1):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Drip) as drip:
        drip.daemon_threads = True
        threading.Thread(target=drip.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{drip.server_address[1]}"
        own = pair.sidecar(urls=[url, pair.am.url], alertmanager={"timeout_secs": 0.5})
        own.wait_for_gate("", "closed")
        own.wait_for_metric(ROUNDS, 3)
        assert own.metric(f'wellbeing_alertmanager_up{{alertmanager="{url}"}}') == 0
        assert own.metric(f'wellbeing_alertmanager_up{{alertmanager="{pair.am.url}"}}') == 1
        stop.set()
        drip.shutdown()


def test_an_alert_outside_of_a_narrowed_filter_is_kept(pair: SidecarPair) -> None:
    pair.alertmanager()
    own = pair.sidecar()
    pair.pause_by("Wide", team="b")
    config = yaml_of(own)
    config["alerts"]["alertmanager"]["filter"] = ['team="a"']
    own.configure(config)
    own.ok_reload()
    pair.settled()
    assert own.status()["gate"] == "closed"
    pair.am.resolve("Wide", **CLOSED, team="b")
    own.wait_for_gate("", "open")


def test_a_query_with_more_scopes_than_allowed_keeps_the_known_alerts(pair: SidecarPair) -> None:
    pair.alertmanager(route={"repeat_interval": "4h"})
    own = pair.sidecar(alert_ttl_secs=2)
    config = yaml_of(own)
    own.configure({**config, "limits": {"max_scopes": 3}})
    own.ok_reload()
    pair.pause_by("Known", wellbeing_scope="a")
    for number in range(5):
        pair.am.fire("Many", **CRITICAL, wellbeing_scope=f"s/{number}")
    failed = 'wellbeing_reconciliations_total{result="failed"}'
    own.wait_for_metric(failed, 8)
    assert own.status("a")["gate"] == "closed", "Alertmanager lists the alert, so the alert does not expire"
