"""Kills a sidecar at random times, and compares its stored state with what it acknowledged."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from .sidecar import Sidecar

ALERTS_AT_ONCE = 3
SCOPES = 4


@dataclass(frozen=True)
class ClientState:
    """The state of a client's scopes: reasons of operators' pauses, claims of agents, alerts."""

    pauses: frozenset[tuple[str, str]] = frozenset()
    claims: frozenset[tuple[str, str]] = frozenset()
    alerts: frozenset[str] = frozenset()


@dataclass
class Client:
    """Changes its own scopes one by one, and records what was acknowledged."""

    name: str
    random: random.Random
    acknowledged: ClientState = ClientState()
    in_flight: ClientState | None = None
    reasons: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    operations: int = 0
    _serial: int = 0

    def work(self, url: str, stop: threading.Event) -> None:
        """Send operations until the sidecar is killed or ``stop`` is set."""
        with requests.Session() as session:
            while not stop.is_set():
                act = self.random.choice((self._pause, self._resume, self._claim, self._fire, self._resolve))
                try:
                    answer = act(session, url)
                except requests.RequestException:
                    return
                if answer.status_code != 200:
                    self.refusals.append(f"{self.name}: {act.__name__}: {answer.status_code} {answer.text}")
                    return
                self.acknowledged, self.in_flight = self.in_flight or self.acknowledged, None
                self.operations += 1

    def settle(self, found: ClientState) -> None:
        """Check that every acknowledged operation is stored, and the pending one completely or not at all."""
        allowed = [self.acknowledged, *([self.in_flight] if self.in_flight else [])]
        assert found in allowed, f"{self.name}: {found} is none of {allowed}"
        self.acknowledged, self.in_flight = found, None

    def _scope(self) -> str:
        return f"{self.name}/{self.random.randrange(SCOPES)}"

    def _next(self, **changes: frozenset) -> None:
        known = {name: getattr(self.acknowledged, name) for name in ("pauses", "claims", "alerts")}
        self.in_flight = ClientState(**{**known, **changes})

    def _pause(self, session: requests.Session, url: str) -> requests.Response:
        scope, self._serial = self._scope(), self._serial + 1
        reason = f"{self.name} {self._serial}"
        others = {pause for pause in self.acknowledged.pauses if pause[0] != scope}
        self._next(pauses=frozenset({*others, (scope, reason)}))
        answer = session.post(f"{url}/v1/pause/{scope}", json={"reason": reason}, timeout=30)
        self.reasons.append(reason)
        return answer

    def _resume(self, session: requests.Session, url: str) -> requests.Response:
        scope = self._scope()
        self._next(pauses=frozenset(pause for pause in self.acknowledged.pauses if pause[0] != scope))
        return session.post(f"{url}/v1/resume/{scope}", timeout=30)

    def _claim(self, session: requests.Session, url: str) -> requests.Response:
        scope, state = self._scope(), self.random.choice(("healthy", "cautious", "distressed"))
        others = {claim for claim in self.acknowledged.claims if claim[0] != scope}
        self._next(claims=frozenset({*others, (scope, state)} if state != "healthy" else others))
        return session.put(f"{url}/v1/state/{scope}", json={"state": state}, timeout=30)

    def _fire(self, session: requests.Session, url: str) -> requests.Response:
        self._serial += 1
        names = [f"{self.name}-{self._serial}-{number}" for number in range(ALERTS_AT_ONCE)]
        self._next(alerts=self.acknowledged.alerts | set(names))
        return self._notify(session, url, names, firing=True)

    def _resolve(self, session: requests.Session, url: str) -> requests.Response:
        names = sorted(self.acknowledged.alerts)
        names = names[: max(ALERTS_AT_ONCE, len(names) - 6)]
        self._next(alerts=self.acknowledged.alerts - set(names))
        return self._notify(session, url, names, firing=False)

    def _notify(
        self, session: requests.Session, url: str, names: list[str], *, firing: bool
    ) -> requests.Response:
        body = notification({name: f"{self.name}/alerts/{name[-1]}" for name in names}, firing=firing)
        return session.post(f"{url}/v1/alerts", data=body, timeout=30)


def notification(alerts: dict[str, str], *, firing: bool, began: datetime | None = None) -> bytes:
    """A notification. ``alerts``: the scope by fingerprint. ``began``: start of the alerts; default: a minute ago."""
    now = datetime.now(UTC)
    began = began or now - timedelta(minutes=1)
    ended = now.isoformat() if not firing else "0001-01-01T00:00:00Z"
    entries = [
        {
            "status": "firing" if firing else "resolved",
            "labels": {"alertname": name, "severity": "critical", "wellbeing_scope": scope},
            "annotations": {},
            "startsAt": began.isoformat(),
            "endsAt": ended,
            "fingerprint": name,
        }
        for name, scope in alerts.items()
    ]
    return json.dumps({"version": "4", "receiver": "r", "groupKey": "g", "alerts": entries}).encode()


def state_of(sidecar: Sidecar, client: str) -> ClientState:
    """The state of a client's scopes in the sidecar."""
    pauses, claims, alerts = set(), set(), set()
    for status in sidecar.status(client, below="true")["below"]:
        for hold in status["holds"]:
            if hold["kind"] == "manual":
                pauses.add((status["scope"], hold["reason"]))
        for signal in status["signals"]:
            if signal["source"].startswith("alert:"):
                alerts.add(signal["source"].removeprefix("alert:"))
            else:
                claims.add((status["scope"], signal["state"]))
    return ClientState(frozenset(pauses), frozenset(claims), frozenset(alerts))


def crash(folder: Path, kills: int, seed: int, clients: int = 4) -> int:
    """Kill a sidecar ``kills`` times under load. Returns the number of acknowledged operations."""
    rng = random.Random(seed)
    config = {"defaults": {"pause_on_distressed": True, "max_pause_secs": 0}}
    workers = [Client(f"c{number}", random.Random(rng.random())) for number in range(clients)]
    with Sidecar(config, store="sqlite:state.db", folder=folder) as sidecar:
        for _ in range(kills):
            stop = threading.Event()
            threads = [threading.Thread(target=one.work, args=(sidecar.url, stop)) for one in workers]
            for thread in threads:
                thread.start()
            stop.wait(rng.uniform(0.0, 0.25))
            sidecar.kill()
            for thread in threads:
                thread.join()
            refusals = [refusal for one in workers for refusal in one.refusals]
            assert not refusals, f"{refusals}\nSOAK_SEED={seed}"
            sidecar.session.close()
            sidecar.restart()
            for one in workers:
                one.settle(state_of(sidecar, one.name))
        acknowledged = {reason for one in workers for reason in one.reasons}
        assert acknowledged <= history_reasons(sidecar), "an acknowledged pause is not in the history"
    return sum(one.operations for one in workers)


def history_reasons(sidecar: Sidecar) -> set[str]:
    """The reasons of all pauses and renewals in the history."""
    reasons, cursor = set(), {}
    while True:
        page = sidecar.get("/v1/history", params={"limit": 1000, **cursor}).json()
        reasons |= {entry["reason"] for entry in page["entries"]}
        if page["next_cursor"] is None:
            return reasons
        cursor = {"cursor": page["next_cursor"]}
