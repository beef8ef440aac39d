"""Misleading behaviour of real Alertmanagers and Prometheuses, one by one. The gate is right nevertheless."""

from __future__ import annotations

import json
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import yaml

from harness.monitoring import Alertmanager, Prometheus, Target
from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from harness.tls import certify

CRITICAL = {"severity": "critical"}
CLOSED = {**CRITICAL, "wellbeing_scope": "*"}
"""Of an alert about the root."""
ROUNDS = 'wellbeing_reconciliations_total{result="done"}'


class Pair:
    """A sidecar and an Alertmanager: one sends notifications, the other polls."""

    def __init__(self, stack: ExitStack, tmp_path: Path) -> None:
        self._stack = stack
        self._folder = tmp_path
        self.port = free_port()
        self.webhook = f"http://127.0.0.1:{self.port}/v1/alerts"

    def alertmanager(self, **options) -> Alertmanager:
        self.am = self._stack.enter_context(Alertmanager(self.webhook, **options))
        return self.am

    def sidecar(self, urls: list[str] | None = None, **alerts) -> Sidecar:
        """It polls often, and accepts missing alerts from an Alertmanager that has just started."""
        asking = {"min_uptime_secs": 0, **alerts.pop("alertmanager", {})}
        config = {
            "defaults": {"pause_on_distressed": True, "max_pause_secs": 0},
            "alerts": {
                "alertmanager_urls": [self.am.url] if urls is None else urls,
                "reconcile_secs": 0.5,
                "alertmanager": asking,
                **alerts,
            },
        }
        self.own = self._stack.enter_context(
            Sidecar(config, store="sqlite:state.db", folder=self._folder, port=self.port)
        )
        return self.own

    def pause_by(self, name: str, **labels: str) -> None:
        """Fire an alert, and wait until the gate is closed."""
        self.am.fire(name, **{**CLOSED, **labels})
        self.own.wait_for_gate(labels.get("wellbeing_scope", ""), "closed")

    def settled(self) -> None:
        """Wait for some rounds of reconciliation."""
        self.own.wait_for_metric(ROUNDS, self.own.metric(ROUNDS) + 3)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack, tmp_path)


def test_alerts_left_out_of_a_truncated_notification_are_queried(pair: Pair) -> None:
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


def test_an_alert_whose_resolve_is_never_sent_ends(pair: Pair) -> None:
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
    pair: Pair,
) -> None:
    # Its webhook retries for a short time only, so the resolve is lost.
    pair.alertmanager(route={"repeat_interval": "4h"})
    own = pair.sidecar(reconcile_secs=5)
    pair.pause_by("Lost")
    own.kill()
    pair.am.resolve("Lost", **CLOSED)
    eventually(lambda: not pair.am.listed("Lost"), "Alertmanager forgets it")
    eventually(lambda: any("connection refused" in line for line in pair.am.lines), "it could not tell")
    # No server listens at the webhook any more, so only polling helps.
    own = Sidecar(yaml_of(own), store="sqlite:state.db", folder=own.config_path.parent)
    with own:
        own.wait_for_gate("", "open")
        assert not own.logs("reconcile_failed")


def yaml_of(own: Sidecar) -> dict:
    return yaml.safe_load(own.config_path.read_text())


def test_an_alert_with_a_start_in_the_future_can_end(pair: Pair) -> None:
    pair.alertmanager()
    own = pair.sidecar(urls=[])
    pair.am.fire_without_start("ByHand", **CLOSED)
    own.wait_for_gate("", "closed")
    assert own.status()["signals"][0]["since"] > own.status()["holds"][0]["since"]
    pair.am.resolve("ByHand", **CLOSED)
    own.wait_for_gate("", "open")


def test_a_silenced_alert_is_ignored_until_its_silence_ends(pair: Pair) -> None:
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


def test_an_alert_that_resolves_while_silenced_ends(pair: Pair) -> None:
    pair.alertmanager()
    own = pair.sidecar(alertmanager={"count_suppressed": True})
    pair.pause_by("Known")
    pair.am.silence("Known")
    eventually_equal(lambda: pair.am.listed("Known"), ["suppressed"], "it is silenced")
    pair.settled()
    assert own.status()["gate"] == "closed", "it is configured to count"
    pair.am.resolve("Known", **CLOSED)
    own.wait_for_gate("", "open")


def test_an_alert_that_resolves_while_alertmanager_is_down_ends(pair: Pair) -> None:
    pair.alertmanager()
    own = pair.sidecar()
    pair.pause_by("Gone")
    pair.am.kill()
    own.wait_for_metric('wellbeing_reconciliations_total{result="unreachable"}', 2)
    assert own.status()["gate"] == "closed", "who cannot be asked changes nothing"
    assert own.metric(f'wellbeing_alertmanager_up{{alertmanager="{pair.am.url}"}}') == 0
    assert len(own.logs("alertmanager_unreachable")) == 1
    pair.am.restart()
    own.wait_for_gate("", "open")
    assert own.metric(f'wellbeing_alertmanager_up{{alertmanager="{pair.am.url}"}}') == 1


def test_an_empty_list_after_a_restart_of_alertmanager_ends_no_alert(pair: Pair) -> None:
    pair.alertmanager()
    own = pair.sidecar(alertmanager={"min_uptime_secs": 300})
    pair.pause_by("Still")
    pair.am.kill()
    pair.am.restart()
    assert pair.am.listed("Still") == []
    own.wait_for_metric(ROUNDS, own.metric(ROUNDS) + 3)
    assert own.status()["gate"] == "closed"


def test_a_restarted_sidecar_pauses_before_any_notification(pair: Pair) -> None:
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


def test_a_sidecar_with_a_new_store_queries_the_firing_alerts(pair: Pair, tmp_path: Path) -> None:
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


def test_a_notification_refused_because_of_the_store_is_sent_again(pair: Pair) -> None:
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


def test_two_alertmanagers_with_the_same_alert_count_once_and_one_of_them_suffices(pair: Pair) -> None:
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


def test_a_query_ends_no_alert_of_other_receivers_or_labels(pair: Pair) -> None:
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
    eventually_equal(lambda: own.status("ours")["state"], "healthy", "ours ends")
    pair.settled()
    assert {scope: own.status(scope)["signals"] for scope in others} == others


def test_alertmanager_is_queried_with_a_password_over_tls(pair: Pair, tmp_path: Path) -> None:
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


def test_alertmanager_is_queried_with_a_token(pair: Pair, tmp_path: Path) -> None:
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


# -- the liar is Prometheus -----------------------------------------------------------------------

WATCHDOG = {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}}
# Its severity is none, so it is received but sets no state.
HEARD_WATCHDOG = 'wellbeing_webhook_alerts_total{outcome="ignored",status="firing"}'
DISTRESSED = {"alert": "EngineDistressed", "expr": "engine_distress > 0.5", "labels": CLOSED}
DOWN = {"alert": "EngineDown", "expr": "up == 0", "labels": CLOSED}


@pytest.mark.parametrize("recovered", [True, False], ids=["recovered", "still-distressed"])
def test_a_dead_prometheus_opens_no_gate(pair: Pair, recovered: bool) -> None:
    pair.alertmanager(route={"repeat_interval": "1s"})
    own = pair.sidecar(
        watchdog={"alertname": "Watchdog", "timeout_secs": 30, "grace_secs": 3, "state": "cautious"}
    )
    rules = [{"name": "all", "rules": [WATCHDOG, DISTRESSED]}]
    with Target() as target, Prometheus({"engine": target.address}, rules, pair.am.address) as prometheus:
        target.value = 1.0
        own.wait_for_gate("", "closed")
        own.wait_for_metric(HEARD_WATCHDOG, 1)
        prometheus.kill()
        own.wait_for_metric("wellbeing_blind", 1)
        eventually_equal(lambda: pair.am.listed("EngineDistressed"), [], "it looks recovered")
        eventually(lambda: held_in_doubt(own), "the resolve is kept in mind")
        pair.settled()
        status = own.status()
        assert (status["blind"], status["gate"]) == (True, "closed")
        assert [s["state"] for s in status["signals"] if s["source"].startswith("agent:")] == ["cautious"]
        own.kill()
        own.restart()
        assert own.status()["blind"], "who was blind is blind after a restart"
        assert own.status()["gate"] == "closed"
        target.value = 0.0 if recovered else 1.0
        prometheus.restart()
        eventually(lambda: not own.status()["blind"], "it sees again")
        own.wait_log("sees_again")
        if recovered:
            own.wait_for_gate("", "open")
            assert own.status()["signals"] == []
        else:
            eventually(lambda: fires(own), "the alert fires again")
            pair.settled()
            assert own.status()["gate"] == "closed"


@pytest.mark.parametrize("watched", [False, True], ids=["", "with-a-watchdog"])
def test_a_prometheus_that_was_suspended_keeps_its_alerts(pair: Pair, watched: bool) -> None:
    pair.alertmanager(route={"repeat_interval": "1s"})
    watchdog = {"watchdog": {"alertname": "Watchdog", "grace_secs": 1}} if watched else {}
    own = pair.sidecar(**watchdog)
    rules = [{"name": "all", "rules": [WATCHDOG, DISTRESSED]}]
    with Target() as target, Prometheus({"engine": target.address}, rules, pair.am.address) as prometheus:
        target.value = 1.0
        own.wait_for_gate("", "closed")
        own.wait_for_metric(HEARD_WATCHDOG, 1)
        since = own.status()["signals"][0]["since"]
        prometheus.signal(signal.SIGSTOP)
        try:
            eventually_equal(lambda: pair.am.listed("EngineDistressed"), [], "it looks recovered")
            if watched:
                eventually(lambda: held_in_doubt(own), "the resolve is kept in mind")
            else:
                own.wait_for_gate("", "open")
        finally:
            prometheus.signal(signal.SIGCONT)
        own.wait_for_gate("", "closed")
        eventually(lambda: fires(own), "it counts as firing")
        # It has the same start as before, unless the running scrape failed and ended the series.
        assert own.status()["signals"][0]["since"] >= since
        done = own.metric(ROUNDS)
        own.wait_for_metric(ROUNDS, done + 10)
        eventually(lambda: not own.status()["blind"], "it sees")
        assert own.status()["gate"] == "closed"


def test_blindness_survives_a_restart_without_any_held_back_resolve(pair: Pair) -> None:
    pair.alertmanager()
    own = pair.sidecar(watchdog={"alertname": "Watchdog"})
    pair.am.fire("Watchdog")
    pair.pause_by("Bad")
    pair.am.resolve("Watchdog")
    own.wait_for_metric("wellbeing_blind", 1)
    own.kill()
    own.restart()
    assert own.status()["blind"]
    pair.am.resolve("Bad", **CLOSED)
    eventually(lambda: held_in_doubt(own), "the resolve is not believed")
    pair.settled()
    assert own.status()["gate"] == "closed"
    entries = own.get("/v1/history", params={"kind": "blind"}).json()["entries"]
    assert [(entry["from"], entry["to"]) for entry in entries] == [("seeing", "blind")]


def test_a_list_without_the_watchdog_ends_no_alert(pair: Pair) -> None:
    pair.alertmanager(send_resolved=False)
    own = pair.sidecar(watchdog={"alertname": "Watchdog"})
    pair.am.fire("Watchdog")
    pair.pause_by("Bad")
    pair.settled()
    pair.am.kill()
    pair.am.restart()
    pair.settled()
    assert own.status()["gate"] == "closed"
    pair.am.fire("Watchdog")
    own.wait_for_gate("", "open")


def test_a_slow_response_of_alertmanager_delays_no_request(pair: Pair) -> None:
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


def test_an_alert_outside_of_a_narrowed_filter_is_kept(pair: Pair) -> None:
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


def test_a_query_with_more_scopes_than_allowed_keeps_the_known_alerts(pair: Pair) -> None:
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
    assert own.status("a")["gate"] == "closed", "it is listed, and so does not expire"


def held_in_doubt(own: Sidecar) -> bool:
    return any(signal["ended_at"] for signal in own.status()["signals"])


def fires(own: Sidecar) -> bool:
    alerts = [signal for signal in own.status()["signals"] if signal["source"].startswith("alert:")]
    return len(alerts) == 1 and alerts[0]["ended_at"] is None


def test_an_engine_that_stops_answering_keeps_its_gate_closed(pair: Pair) -> None:
    pair.alertmanager()
    own = pair.sidecar(urls=[])
    rules = [{"name": "all", "rules": [{**DISTRESSED, "keep_firing_for": "5s"}, DOWN]}]
    with Target() as target, Prometheus({"engine": target.address}, rules, pair.am.address) as prometheus:
        target.value = 1.0
        own.wait_for_gate("", "closed")
        target.__exit__()
        eventually_equal(lambda: prometheus.value('ALERTS{alertname="EngineDown"}'), 1, "the engine is down")
        eventually(lambda: len(own.status()["signals"]) == 1 and down_alone(prometheus), "stale")
        kinds = [entry["kind"] for entry in own.get("/v1/history").json()["entries"]]
        assert kinds == ["pause", "intervention"], "the gate was never open in between"


def down_alone(prometheus: Prometheus) -> bool:
    firing = {labels["alertname"] for labels, _ in prometheus.query('ALERTS{alertstate="firing"}')}
    return firing == {"EngineDown"}
