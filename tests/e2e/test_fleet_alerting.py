"""Alertmanagers notify a fleet through a load balancer. An alert counts once, takes effect at all sidecars,
and is sent to hooks once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
import requests

from harness.monitoring import Alertmanager
from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal, program
from harness.receivers import Receiver
from harness.redis_server import RedisServer
from harness.sidecar import Sidecar

NGINX = """
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  upstream fleet {{ {servers} }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://fleet; }} }}
}}
"""


class Fleet:
    """Three sidecars on one Redis behind nginx, and a cluster of two Alertmanagers."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}/v1/alerts"
        gossip = free_port()
        options = ["--cluster.peer-timeout=0s", "--cluster.settle-timeout=0s"]
        listen = [f"--cluster.listen-address=127.0.0.1:{gossip}", *options]
        peer = [f"--cluster.listen-address=127.0.0.1:{free_port()}", f"--cluster.peer=127.0.0.1:{gossip}"]
        # Only the watchdog alert has to be sent repeatedly.
        repeated = {
            "repeat_interval": "1s",
            "matchers": ['alertname="Watchdog"'],
            "group_interval": "1s",
        }
        self.alertmanagers = [
            stack.enter_context(Alertmanager(url, cluster=one, route={"routes": [repeated]}))
            for one in (listen, [*peer, *options])
        ]
        self.receiver = stack.enter_context(Receiver())
        self.redis = stack.enter_context(RedisServer())
        config = {
            "defaults": {"pause_on_distressed": True, "max_pause_secs": 0},
            "alerts": {
                "alertmanager_urls": [one.url for one in self.alertmanagers],
                "reconcile_secs": 1,
                "alertmanager": {"min_uptime_secs": 0},
                "watchdog": {"alertname": "Watchdog", "timeout_secs": 60, "grace_secs": 1},
            },
            "hooks": [
                {
                    "name": "audit",
                    "url": self.receiver.url,
                    "events": ["pause", "resume", "blind", "sighted", "store_down", "store_up"],
                }
            ],
        }
        self.sidecars = [stack.enter_context(Sidecar(config, store=self.redis.url)) for _ in range(3)]
        servers = " ".join(f"server {one.url.removeprefix('http://')};" for one in self.sidecars)
        (folder / "nginx.conf").write_text(NGINX.format(servers=servers, port=port))
        command = [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", f"{folder}/nginx.conf"]
        self.proxy = Process(command, folder)
        stack.callback(self.proxy.__exit__)

    def fire(self, name: str, scope: str) -> None:
        for one in self.alertmanagers:
            one.fire(name, severity="critical", wellbeing_scope=scope)

    def resolve(self, name: str, scope: str) -> None:
        for one in self.alertmanagers:
            one.resolve(name, severity="critical", wellbeing_scope=scope)

    def wait_for_gates(self, scope: str, gate: str) -> None:
        for one in self.running:
            one.wait_for_gate(scope, gate)

    @property
    def running(self) -> list[Sidecar]:
        return [one for one in self.sidecars if one._popen.poll() is None]

    def values(self, series: str) -> list[float]:
        return [one._metric(series) or 0.0 for one in self.running]

    def total(self, series: str) -> float:
        return sum(self.values(series))

    def leader(self) -> Sidecar:
        def leaders() -> list[Sidecar]:
            return [one for one in self.running if one._metric("wellbeing_fleet_leader") == 1]

        eventually(lambda: len(leaders()) == 1, "there is one leader")
        return leaders()[0]

    def told(self, scope: str) -> list[str]:
        return [event for event, at in self.receiver.events() if at == scope]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack, tmp_path_factory.mktemp("proxy"))


DONE = 'wellbeing_reconciliations_total{result="done"}'


def keep_alive(fleet: Fleet) -> None:
    for one in fleet.alertmanagers:
        one.fire("Watchdog")


def test_an_alert_through_a_proxy_is_counted_once_and_applies_to_all_sidecars(fleet: Fleet) -> None:
    keep_alive(fleet)
    for number in range(3):
        fleet.fire("Slow", f"team/{number}")
    for number in range(3):
        fleet.wait_for_gates(f"team/{number}", "closed")
    for number in range(3):
        fleet.resolve("Slow", f"team/{number}")
    for number in range(3):
        scope = f"team/{number}"
        fleet.wait_for_gates(scope, "open")
        assert fleet.total(f'wellbeing_pauses_total{{cause="auto",scope="{scope}"}}') == 1
        assert fleet.total(f'wellbeing_resumes_total{{cause="recovered",scope="{scope}"}}') == 1
        eventually_equal(partial(fleet.told, scope), ["pause", "resume"])
    accepted = 'wellbeing_webhook_notifications_total{result="accepted"}'
    eventually(lambda: min(fleet.values(accepted)) >= 1, "each sidecar received a notification")


def test_only_the_leader_queries_alertmanager_and_another_takes_over(fleet: Fleet) -> None:
    leader = fleet.leader()
    others = [one for one in fleet.running if one is not leader]
    done = leader.metric(DONE)
    eventually(lambda: leader.metric(DONE) >= done + 2, "the leader queries Alertmanager")
    assert [one.metric(DONE) for one in others] == [0, 0]
    fleet.fire("Lost", "lost")
    fleet.wait_for_gates("lost", "closed")
    leader.kill()
    # The proxy is down as well, so the new leader has to poll.
    fleet.proxy.kill()
    fleet.resolve("Lost", "lost")
    eventually(lambda: any(one.metric(DONE) > 0 for one in others), "another sidecar queries Alertmanager")
    leader.session.close()
    fleet.proxy.start()
    keep_alive(fleet)
    fleet.wait_for_gates("lost", "open")
    # Events that the killed leader delivered shortly before its end may be delivered again.
    eventually_equal(lambda: [event for event, _ in groupby(fleet.told("lost"))], ["pause", "resume"])


def test_all_sidecars_of_a_fleet_become_blind_and_one_event_is_recorded(fleet: Fleet) -> None:
    def all_are(blind: float) -> Callable[[], bool]:
        return lambda: set(fleet.values("wellbeing_blind")) == {blind}

    keep_alive(fleet)
    eventually(all_are(0), "no sidecar is blind", 20)
    before = len(fleet.told(""))
    # One sidecar receives the notification.
    for one in fleet.alertmanagers:
        one.resolve("Watchdog")
    eventually(all_are(1), "all are blind", 20)
    keep_alive(fleet)
    eventually(all_are(0), "no sidecar is blind any more", 20)
    eventually(
        lambda: fleet.told("")[before:][-1:] == ["sighted"], "the end of the blindness was sent to the hook"
    )
    told = fleet.told("")[before:]
    # One event for the fleet, not one for each sidecar. A firing notification that one Alertmanager sent just
    # before its alert ended can arrive after the resolve of the other one: then there are two periods.
    assert told in (["blind", "sighted"], 2 * ["blind", "sighted"])
    entries = requests.get(f"{fleet.running[0].url}/v1/history", params={"kind": "blind"}, timeout=60).json()
    assert [entry["to"] for entry in entries["entries"]][:2] == ["seeing", "blind"]


def test_hooks_get_one_event_when_redis_is_lost(fleet: Fleet) -> None:
    before = len(fleet.told(""))
    fleet.redis.suspend()
    try:
        eventually_equal(lambda: fleet.told("")[before:], ["store_down"], timeout=20)
    finally:
        fleet.redis.resume()
    eventually_equal(lambda: fleet.told("")[before:], ["store_down", "store_up"], timeout=20)
    history = f"{fleet.running[0].url}/v1/history"
    entries = requests.get(history, params={"kind": "store"}, timeout=60).json()["entries"]
    # On a busy machine, Redis may have missed a deadline before.
    assert [entry["to"] for entry in entries][:2] == ["up", "down"], entries
