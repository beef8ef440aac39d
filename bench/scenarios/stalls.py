"""i. What an honest client notices while one event concerns thousands of scopes, waiters and streams."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import requests

from bench.crowd import Crowd, Flood, Sent
from bench.notify import notification_at
from bench.peers import Ours
from bench.prober import PROBED, Prober, probing
from bench.stage import Stage
from bench.talk import Connection, request
from harness.monitoring import Alertmanager

_MIDDLES = 100
_ROOT_STREAMS = 10
_AFTER_SECS = 0.05
_MOST_QUIET_SECS = 3.0
_START_QUIETS = 4
_POLL_SECS = 0.05
_REASON = b'{"reason": "a benchmark"}'


class _Scene:
    """A server with a prober and a crowd.

    Attributes:
        found: the measurements.
    """

    def __init__(
        self, stage: Stage, server: Ours, prober: Prober, operator: Connection, crowd: Crowd
    ) -> None:
        self.server = server
        self.crowd = crowd
        self.found: dict[str, float] = {}
        self._stage = stage
        self._prober = prober
        self._operator = operator

    def send(self, name: str, data: bytes, *, woken: int = 0) -> None:
        """Measure while the event ``data`` happens, which wakes ``woken`` parked requests."""
        self.act(name, lambda: Sent(self._operator, data), woken=woken)

    def act(self, name: str, act: Callable[[], Callable[[], float]], *, woken: int = 0) -> None:
        """Measure while ``act()``, for `Crowd.during`, happens; then while nothing happens."""
        self.server.machine.settle(self.server.pid)
        self._prober.begin()
        began = time.monotonic()
        own, last = self.crowd.during(act(), woken=woken)
        self.crowd.drain_for(_AFTER_SECS)
        ended = time.monotonic()
        self._stage.events.append((name, began, ended))
        self._put(name, ended - began)
        self.found[f"stall.{name}.took"] = max(own, last) * 1e3

    def _put(self, name: str, secs: float) -> None:
        during = self._prober.end()
        self.crowd.drain()
        self.server.machine.settle(self.server.pid)
        quiet = self._prober.quiet(min(max(secs, self._stage.sizes.quiet_secs), _MOST_QUIET_SECS))
        for what, probed in (("during", during), ("quiet", quiet)):
            self.found[f"stall.{name}.p99.{what}"] = probed.p99
            self.found[f"stall.{name}.worst.{what}"] = probed.worst


def measure(stage: Stage, _: int) -> dict[str, float]:
    """Measure all events."""
    few, many = stage.sizes.stalled[0], stage.sizes.stalled[-1]
    found = _naming(stage, few)
    for part in PARTS.values():
        found |= part(stage, many)
    return found


@contextmanager
def _scene(stage: Stage, scopes: Sequence[str], **settings: Any) -> Iterator[_Scene]:  # noqa: ANN401
    policies = [{"match": PROBED, "enabled": False}, *({"match": one} for one in scopes)]
    limits = {"max_scopes": 3 * max(len(scopes), stage.sizes.stalled[-1]) + 100}
    config = {"limits": limits, **settings, "policies": [*settings.get("policies", []), *policies]}
    with (
        Ours(stage.machine, settings=config) as server,
        probing(server.where) as prober,
        Connection(server.where) as operator,
        Crowd(server.where) as crowd,
    ):
        yield _Scene(stage, server, prober, operator, crowd)


def _leaves(count: int) -> list[str]:
    return [f"s/{number % _MIDDLES}/{number}" for number in range(count)]


def _pauses_and_notifications(stage: Stage, many: int) -> dict[str, float]:
    leaves = _leaves(many)
    with _scene(stage, leaves) as scene:
        crowd = scene.crowd
        middles = [f"s/{number % _MIDDLES}" for number in range(stage.sizes.streams)]
        crowd.open_streams([""] * min(_ROOT_STREAMS, len(middles)) + middles[_ROOT_STREAMS:])
        for name, scope in (("root", ""), ("middle", "s")):
            crowd.watch(leaves)
            scene.send(f"pause_{name}", request("POST", f"/v1/pause/{scope}", _REASON), woken=many)
            crowd.wait(leaves)
            scene.send(f"resume_{name}", request("POST", f"/v1/resume/{scope}", b"{}"), woken=many)
        for count in stage.sizes.stalled:
            some = leaves[:count]
            crowd.watch(some)
            firing = notification_at(some, firing=True)
            scene.send(f"alerts_{count}", firing, woken=count)
            crowd.wait(some)
            scene.send(f"alerts_again_{count}", firing)
            if count == many:
                _reads(scene)
            scene.send(f"resolve_{count}", notification_at(some, firing=False), woken=count)
        return scene.found | _start(scene, leaves, _START_QUIETS * stage.sizes.quiet_secs)


def _reads(scene: _Scene) -> None:
    for name, target in (
        ("status", "/v1/status?below=true"),
        ("page", "/"),
        ("history", "/v1/history?limit=1000"),
        ("metrics", "/metrics"),
    ):
        # The first one loads what reads it, which happens once.
        with Connection(scene.server.where) as reader:
            reader.ask(request("GET", target))
        scene.send(name, request("GET", target))
    scene.server.touch_config()
    scene.send("reload", request("POST", "/-/reload"))


def _start(scene: _Scene, leaves: Sequence[str], secs: float) -> dict[str, float]:
    """Start with a signal and a hold in each scope; measure the first ``secs`` seconds."""
    server = scene.server
    with Connection(server.where) as sender:
        sender.ask(notification_at(leaves, firing=True))
    server.stop()
    began = time.perf_counter()
    server.restart()
    with probing(server.where) as prober:
        prober.begin()
        took = time.perf_counter() - began
        time.sleep(secs)
        during = prober.end()
        server.machine.settle(server.pid)
        quiet = prober.quiet(secs)
    found = {"stall.start.took": took * 1e3}
    for what, probed in (("during", during), ("quiet", quiet)):
        found[f"stall.start.p99.{what}"] = probed.p99
        found[f"stall.start.worst.{what}"] = probed.worst
    return found


def _arrivals(stage: Stage, many: int) -> dict[str, float]:
    """A ramp; agents that report for the first time; clients that report; a scope named under watches."""
    leaves = _leaves(many)
    ramp = [{"match": "ramp", "resume_ramp_per_sec": stage.sizes.ramp_per_sec}]
    with _scene(stage, leaves, policies=ramp) as scene:
        crowd = scene.crowd
        with Connection(scene.server.where) as operator:
            operator.ask(request("POST", "/v1/pause/ramp", _REASON))
        crowd.wait(["ramp"] * many)
        scene.send("ramp", request("POST", "/v1/resume/ramp", b"{}"), woken=many)
        crowd.watch([f"u/{number}/x" for number in range(many)])
        claim = b'{"state": "cautious"}'
        scene.send("name_above_watches", request("PUT", "/v1/state/u", claim), woken=many)
        crowd.watch(leaves)
        claims = [request("PUT", f"/v1/state/agents/{number}", claim) for number in range(many)]
        with Flood(scene.server.where) as flood:
            scene.act("claims", lambda: flood.sending(claims))
            reports = [request("POST", f"/v1/reports/{one}", _report(one)) for one in leaves]
            scene.act("reports", lambda: flood.sending(reports))
        return scene.found


def _report(scope: str) -> bytes:
    return json.dumps({"client": f"of-{scope}", "sequence": 1, "requests": 3, "interval_secs": 60}).encode()


def _naming(stage: Stage, count: int) -> dict[str, float]:
    """Name ``count`` parents of as many known scopes, and forget them."""
    known = [f"t/{number}/leaf" for number in range(count)]
    parents = [f"t/{number}" for number in range(count)]
    with _scene(stage, known, scope_idle_secs=2) as scene:
        scene.crowd.watch(known)
        scene.send(f"name_{count}", notification_at(parents, firing=True), woken=count)
        scene.crowd.wait(known)
        scene.send(f"unname_{count}", notification_at(parents, firing=False), woken=count)
        scene.crowd.watch(known)
        scene.act(f"forget_{count}", lambda: _until_forgotten(scene.server, parents[-1]))
        return scene.found


def _until_forgotten(server: Ours, scope: str) -> Callable[[], float]:
    began = asked = time.perf_counter()

    def act() -> float:
        nonlocal asked
        now = time.perf_counter()
        if now - asked < _POLL_SECS:
            return 0.0
        asked = now
        with Connection(server.where) as reader:
            snapshot = json.loads(reader.ask(request("GET", f"/v1/gate/{scope}")).body)
        return now - began if snapshot["version"] > 0 and _is_unknown(server, scope) else 0.0

    return act


def _is_unknown(server: Ours, scope: str) -> bool:
    return server.status(scope).get("follows") is not None


def _reconciling(stage: Stage, count: int) -> dict[str, float]:
    """Ask an Alertmanager for ``count`` alerts that no notification contained."""
    scopes = _leaves(count)
    config = {"route": {"receiver": "none"}, "receivers": [{"name": "none"}]}
    with Alertmanager("", config=config) as alertmanager:
        alerts = {"alertmanager_urls": [alertmanager.url], "reconcile_secs": 3600}
        with _scene(stage, scopes, alerts=alerts) as scene:
            _post(alertmanager, scopes)
            scene.crowd.watch(scopes)
            scene.send("reconcile", request("POST", "/-/reload"), woken=count)
            return scene.found


def _post(alertmanager: Alertmanager, scopes: Sequence[str]) -> None:
    now = datetime.now(UTC).isoformat()
    alerts = [
        {
            "labels": {"alertname": "RequestsPileUp", "wellbeing": "distressed", "wellbeing_scope": scope},
            "annotations": {"summary": f"requests wait in {scope}"},
            "startsAt": now,
        }
        for scope in scopes
    ]
    for start in range(0, len(alerts), 1_000):
        url = f"{alertmanager.url}/api/v2/alerts"
        requests.post(url, json=alerts[start : start + 1_000], timeout=60).raise_for_status()


PARTS: dict[str, Callable[[Stage, int], dict[str, float]]] = {
    "pauses": _pauses_and_notifications,
    "arrivals": _arrivals,
    "naming": _naming,
    "reconciling": _reconciling,
}
"""The parts of the scenario, by name. Each starts its own server; the number is that of the scopes."""
