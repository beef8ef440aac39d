"""Misleading behaviour of a real Prometheus and of the watchdog alert. The gate has the right state nevertheless."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.monitoring import Prometheus, Target
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from harness.sidecar_pair import CLOSED, ROUNDS, SidecarPair

WATCHDOG = {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}}
# The watchdog's severity is none, so the alert is received but sets no state.
HEARD_WATCHDOG = 'wellbeing_webhook_alerts_total{outcome="ignored",status="firing"}'
DISTRESSED = {"alert": "EngineDistressed", "expr": "engine_distress > 0.5", "labels": CLOSED}
DOWN = {"alert": "EngineDown", "expr": "up == 0", "labels": CLOSED}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[SidecarPair]:
    with ExitStack() as stack:
        yield SidecarPair(stack, tmp_path)


@pytest.mark.parametrize("recovered", [True, False], ids=["recovered", "still-distressed"])
def test_a_dead_prometheus_opens_no_gate(pair: SidecarPair, recovered: bool) -> None:
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
        eventually_equal(lambda: pair.am.listed("EngineDistressed"), [], "Alertmanager lists no alert")
        eventually(lambda: holds_resolve(own), "the resolve is not accepted yet")
        pair.settled()
        status = own.status()
        assert (status["blind"], status["gate"]) == (True, "closed")
        assert [s["state"] for s in status["signals"] if s["source"].startswith("agent:")] == ["cautious"]
        own.kill()
        own.restart()
        assert own.status()["blind"], "the sidecar is still blind after a restart"
        assert own.status()["gate"] == "closed"
        target.value = 0.0 if recovered else 1.0
        prometheus.restart()
        eventually(lambda: not own.status()["blind"], "the sidecar is no longer blind")
        own.wait_log("sees_again")
        if recovered:
            own.wait_for_gate("", "open")
            assert own.status()["signals"] == []
        else:
            eventually(lambda: fires(own), "the alert fires again")
            pair.settled()
            assert own.status()["gate"] == "closed"


@pytest.mark.parametrize("watched", [False, True], ids=["", "with-a-watchdog"])
def test_a_prometheus_that_was_suspended_keeps_its_alerts(pair: SidecarPair, watched: bool) -> None:
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
            eventually_equal(lambda: pair.am.listed("EngineDistressed"), [], "Alertmanager lists no alert")
            if watched:
                eventually(lambda: holds_resolve(own), "the resolve is not accepted yet")
            else:
                own.wait_for_gate("", "open")
        finally:
            prometheus.signal(signal.SIGCONT)
        own.wait_for_gate("", "closed")
        eventually(lambda: fires(own), "the alert counts as firing")
        # The alert has the same start as before, unless the scrape in progress failed and ended the series.
        assert own.status()["signals"][0]["since"] >= since
        done = own.metric(ROUNDS)
        own.wait_for_metric(ROUNDS, done + 10)
        eventually(lambda: not own.status()["blind"], "the sidecar is not blind")
        assert own.status()["gate"] == "closed"


def test_blindness_survives_a_restart_even_if_no_resolve_is_held_back(pair: SidecarPair) -> None:
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
    eventually(lambda: holds_resolve(own), "the resolve is not accepted yet")
    pair.settled()
    assert own.status()["gate"] == "closed"
    entries = own.get("/v1/history", params={"kind": "blind"}).json()["entries"]
    assert [(entry["from"], entry["to"]) for entry in entries] == [("seeing", "blind")]


def test_a_list_without_the_watchdog_ends_no_alert(pair: SidecarPair) -> None:
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


def holds_resolve(own: Sidecar) -> bool:
    return any(signal["ended_at"] for signal in own.status()["signals"])


def fires(own: Sidecar) -> bool:
    alerts = [signal for signal in own.status()["signals"] if signal["source"].startswith("alert:")]
    return len(alerts) == 1 and alerts[0]["ended_at"] is None


def test_an_engine_that_stops_answering_keeps_its_gate_closed(pair: SidecarPair) -> None:
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
