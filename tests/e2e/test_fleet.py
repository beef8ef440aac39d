"""Sidecars that share one Redis: a change at one takes effect at all, and nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from harness.crash import Client, history_reasons, notification, state_of
from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal, program
from harness.redis_server import RedisServer, wait_equal
from harness.sidecar import Sidecar

CONFIG = {"defaults": {"pause_on_distressed": True, "max_pause_secs": 0}}
KILLS = int(os.environ.get("SOAK_FLEET_KILLS", "3"))
# A long run uses ten sidecars on one Redis.
REDIS_EVERY = 3 if KILLS < 11 else 11


class Fleet:
    """Some sidecars on one Redis."""

    def __init__(self, stack: ExitStack, url: str, size: int = 3, config: dict | None = None) -> None:
        self.sidecars = [
            stack.enter_context(Sidecar({**CONFIG, **(config or {})}, store=url)) for _ in range(size)
        ]

    def leader(self) -> Sidecar:
        def leaders() -> list[Sidecar]:
            return [one for one in self.sidecars if _metric(one, "wellbeing_fleet_leader") == 1]

        eventually_equal(lambda: len(leaders()), 1, "there is one leader")
        return leaders()[0]

    def wait_for_gates(self, scope: str, gate: str) -> None:
        for one in self.sidecars:
            one.wait_for_gate(scope, gate)

    def total(self, series: str) -> float:
        return sum(_metric(one, series) or 0.0 for one in self.sidecars)


def _metric(sidecar: Sidecar, series: str) -> float | None:
    try:
        return sidecar._metric(series)
    except requests.RequestException:
        return None


@pytest.fixture(scope="module")
def fleet():
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        running = Fleet(stack, redis.url)
        running.redis = redis
        yield running


def test_a_pause_at_one_sidecar_closes_the_gates_of_all_and_is_counted_once(fleet: Fleet) -> None:
    one, two, _ = fleet.sidecars
    one.pause("team/a")
    fleet.wait_for_gates("team/a", "closed")
    two.resume("team/a")
    fleet.wait_for_gates("team/a", "open")
    assert fleet.total('wellbeing_pauses_total{cause="manual",scope="team/a"}') == 1
    assert fleet.total('wellbeing_resumes_total{cause="manual",scope="team/a"}') == 1
    pages = [
        [(e["id"], e["kind"]) for e in one.get("/v1/history/team/a").json()["entries"]]
        for one in fleet.sidecars
    ]
    assert pages[0] == pages[1] == pages[2]
    assert [kind for _, kind in pages[0]] == ["resume", "pause"]


def test_every_metric_of_a_fleet_is_documented_and_exposed(fleet: Fleet) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    exposed = set()
    for line in fleet.sidecars[0].get("/metrics").text.splitlines():
        if line.startswith("# TYPE wellbeing_fleet_"):
            _, _, name, kind = line.split()
            exposed.add(name if kind != "counter" or name.endswith("_total") else f"{name}_total")
    assert exposed == set(re.findall(r"`(wellbeing_fleet_\w+)`", docs))


def test_a_command_sees_the_command_just_sent_to_another_sidecar(fleet: Fleet) -> None:
    for number in range(20):
        here, there = random.sample(fleet.sidecars, 2)
        here.pause(f"quick/{number}")
        assert there.resume(f"quick/{number}")["gate"] == "open"
    for number in range(20):
        fleet.wait_for_gates(f"quick/{number}", "open")


def test_two_alertmanagers_that_notify_two_sidecars_cause_one_pause(fleet: Fleet) -> None:
    body = notification({"f1": "pair/x", "f2": "pair/x"}, firing=True)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda one: one.notify(body).status_code, fleet.sidecars))
    assert answers == [200, 200, 200]
    fleet.wait_for_gates("pair/x", "closed")
    body = notification({"f1": "pair/x", "f2": "pair/x"}, firing=False)
    assert [one.notify(body).status_code for one in fleet.sidecars] == [200, 200, 200]
    fleet.wait_for_gates("pair/x", "open")
    assert fleet.total('wellbeing_pauses_total{cause="auto",scope="pair/x"}') == 1
    assert fleet.total('wellbeing_resumes_total{cause="recovered",scope="pair/x"}') == 1


def test_many_commands_for_one_scope_are_all_answered_and_none_is_lost(fleet: Fleet) -> None:
    def claim(number: int) -> int:
        one = random.choice(fleet.sidecars)
        url = f"{one.url}/v1/state/contended"
        body = {"state": "cautious", "source": f"agent-{number}"}
        return requests.put(url, json=body, timeout=30).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(claim, range(60))) == {200}
    for one in fleet.sidecars:
        eventually_equal(lambda one=one: len(one.status("contended")["signals"]), 60, "all claims are there")


def test_a_client_that_changes_sidecars_misses_no_change(fleet: Fleet) -> None:
    """The client connects to each sidecar in turn, as behind a round-robin proxy."""
    one, two, three = fleet.sidecars
    tag = one.get("/v1/watch/moving").headers["ETag"]
    for number in range(6):
        there = fleet.sidecars[number % 3]
        answer = there.get("/v1/watch/moving?wait=0", headers={"If-None-Match": tag})
        assert (answer.status_code, number) == (304, number)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(two.get, "/v1/watch/moving?wait=20", headers={"If-None-Match": tag})
        three.pause("moving")
        assert waiting.result().json()["gate"] == "closed"
    fleet.wait_for_gates("moving", "closed")
    # The gate closed while the client was connected to no sidecar.
    answer = one.get("/v1/watch/moving?wait=20", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["gate"]) == (200, "closed")
    # A stream begins with the current state, even if the client has seen events of another sidecar.
    with requests.get(
        f"{three.url}/v1/events/moving", headers={"Last-Event-ID": tag.strip('"')}, stream=True, timeout=20
    ) as events:
        first = next(line for line in events.iter_lines() if line.startswith(b"data:"))
        assert b'"gate": "closed"' in first or b'"gate":"closed"' in first


def test_while_redis_is_suspended_only_expiries_change_gates(fleet: Fleet) -> None:
    one, two, _ = fleet.sidecars
    one.pause("stays")
    two.pause("ends", max_pause_secs=3)
    fleet.wait_for_gates("ends", "closed")
    fleet.wait_for_gates("stays", "closed")
    fleet.redis.suspend()
    try:
        eventually_equal(
            lambda: _metric(one, "wellbeing_store_up"), 0, "the sidecar reports the store as down"
        )
        answer = requests.post(f"{one.url}/v1/resume/stays", timeout=30)
        assert answer.status_code == 503, answer.text
        assert "did not answer" in answer.json()["detail"]
        fleet.wait_for_gates("ends", "open")
        assert [one.status("stays")["gate"] for one in fleet.sidecars] == ["closed"] * 3
    finally:
        fleet.redis.resume()
    for one in fleet.sidecars:
        one.wait_for_metric("wellbeing_store_up", 1)
    eventually(lambda: requests.post(f"{two.url}/v1/resume/stays", timeout=30).ok, "commands work again")
    fleet.wait_for_gates("stays", "open")

    def lapses() -> list[int]:
        pages = [one.get("/v1/history/ends").json()["entries"] for one in fleet.sidecars]
        return [sum(entry["kind"] == "resume" for entry in page) for page in pages]

    eventually_equal(lapses, [1, 1, 1], "the expiry is in the history once")
    series = 'wellbeing_resumes_total{cause="max_pause",scope="ends"}'
    eventually_equal(lambda: fleet.total(series), 1, "the expiry is counted once")


def test_another_sidecar_becomes_leader_after_the_leader_is_killed(fleet: Fleet) -> None:
    leader = fleet.leader()
    others = [one for one in fleet.sidecars if one is not leader]
    others[0].pause("until", max_pause_secs=2)
    fleet.wait_for_gates("until", "closed")
    leader.kill()
    for one in others:
        one.wait_for_gate("until", "open")
    eventually(lambda: any(_metric(one, "wellbeing_fleet_leader") for one in others), "a new leader", 15)
    leader.session.close()
    leader.restart()
    assert leader.status("until")["gate"] == "open"


def test_operators_pauses_come_back_after_redis_was_wiped(fleet: Fleet) -> None:
    one = fleet.sidecars[0]
    for number in range(5):
        one.pause(f"wiped/{number}", reason=f"kept {number}")
    fleet.wait_for_gates("wiped/4", "closed")
    fleet.redis.kill()
    fleet.redis.wipe()
    fleet.redis.restart()
    eventually_equal(lambda: len(_stored_scopes(fleet.redis, "wiped/")), 5, "the pauses are in Redis again")
    for sidecar in fleet.sidecars:
        for number in range(5):
            assert sidecar.status(f"wiped/{number}")["reason"] == f"kept {number}"
    assert fleet.total("wellbeing_fleet_went_back_total") >= 1
    assert any(sidecar.logs("store_went_back") for sidecar in fleet.sidecars)
    eventually(
        lambda: requests.post(f"{fleet.sidecars[1].url}/v1/resume/wiped/0", timeout=30).ok, "commands work"
    )
    fleet.wait_for_gates("wiped/0", "open")


def _stored_scopes(redis: RedisServer, begin: str) -> list[str]:
    return [one for one in redis.cli("hkeys", "{wellbeing}:scopes").splitlines() if one.startswith(begin)]


def test_a_sidecar_starts_from_its_last_known_state_without_redis(tmp_path: Path) -> None:
    with RedisServer() as redis, Sidecar(CONFIG, store=redis.url, folder=tmp_path) as sidecar:
        sidecar.pause("team", reason="before")
        eventually((tmp_path / "wellbeing-last-known.jsonl").exists, "the file is written")
        eventually(
            lambda: "before" in (tmp_path / "wellbeing-last-known.jsonl").read_text(), "it has the pause"
        )
        redis.kill()
        sidecar.kill()
        sidecar.session.close()
        sidecar.restart()
        assert sidecar.logs("started_from_last_known")
        assert sidecar.status("team")["reason"] == "before"
        assert sidecar.status("team")["fleet"]["from_last_known"] is True
        assert requests.post(f"{sidecar.url}/v1/resume/team", timeout=30).status_code == 503
        redis.restart()
        sidecar.wait_for_metric("wellbeing_store_up", 1)
        assert sidecar.resume("team")["gate"] == "open"


def test_every_acknowledged_pause_survives_a_failover_to_a_replica_that_lagged() -> None:
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer())
        replica = stack.enter_context(
            RedisServer({"replicaof": f"127.0.0.1 {master.port}", "repl-ping-replica-period": "1"})
        )
        eventually(
            lambda: "master_link_status:up" in replica.cli("info", "replication"), "the replica is connected"
        )
        port = free_port()
        sentinel = stack.enter_context(_Sentinel(replica.folder, port, master.port))
        eventually(lambda: "slaves=1" in sentinel.cli("info", "sentinel"), "Sentinel knows the replica")
        fleet = Fleet(stack, f"redis+sentinel://127.0.0.1:{port}/mymaster", 2)
        one, two = fleet.sidecars
        one.pause("replicated")
        replica.suspend()
        two.pause("lost")
        fleet.wait_for_gates("lost", "closed")
        master.kill()
        replica.resume()
        eventually(lambda: "role:master" in replica.cli("info", "replication"), "the replica is promoted", 60)
        eventually(lambda: "lost" in _stored_scopes(replica, ""), "the lost pause is in Redis again", 60)
        for sidecar in fleet.sidecars:
            assert sidecar.status("lost")["gate"] == sidecar.status("replicated")["gate"] == "closed"


class _Sentinel(Process):
    def __init__(self, folder: Path, port: int, master: int) -> None:
        self.port = port
        path = folder / "sentinel.conf"
        path.write_text(
            f"bind 127.0.0.1\nport {port}\nsentinel monitor mymaster 127.0.0.1 {master} 1\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n"
        )
        super().__init__([program("redis-sentinel"), str(path)], folder)

    def __enter__(self):
        return self

    def cli(self, *args: str) -> str:
        return RedisServer.cli(self, *args)


class FleetClient(Client):
    """A client that sends each operation to a different sidecar. Sidecars refuse its operations without Redis."""

    def work(self, url: str, stop: threading.Event) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                act = self.random.choice((self._pause, self._resume, self._claim, self._fire, self._resolve))
                try:
                    answer = act(session, self.random.choice(self.urls()))
                except requests.RequestException:
                    return
                if answer.status_code == 503:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged, self.in_flight = self.in_flight or self.acknowledged, None
                self.operations += 1


def test_random_kills_of_sidecars_and_redis_lose_nothing_acknowledged() -> None:
    rng = random.Random(7)
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        fleet = Fleet(stack, redis.url)
        workers = [FleetClient(f"c{number}", random.Random(rng.random())) for number in range(3)]
        for worker in workers:
            worker.urls = lambda: [one.url for one in fleet.sidecars]
        for round_number in range(KILLS):
            stop = threading.Event()
            threads = [threading.Thread(target=one.work, args=("", stop)) for one in workers]
            for thread in threads:
                thread.start()
            stop.wait(rng.uniform(0.1, 0.4))
            victim: Process = redis if round_number % REDIS_EVERY == 2 else rng.choice(fleet.sidecars)
            victim.kill()
            stop.set()
            for thread in threads:
                thread.join()
            if isinstance(victim, Sidecar):
                victim.session.close()
            victim.restart()
            for one in fleet.sidecars:
                one.wait_for_metric("wellbeing_store_up", 1)
            eventually(
                lambda: requests.post(f"{fleet.sidecars[0].url}/v1/resume/x", timeout=30).ok, "it works"
            )
            for worker in workers:
                state = wait_equal(
                    lambda worker=worker: [state_of(one, worker.name) for one in fleet.sidecars],
                    "the sidecars' states",
                )
                worker.settle(state)
        acknowledged = {reason for one in workers for reason in one.reasons}
        known = history_reasons(fleet.sidecars[0])
        assert {reason for one in workers for reason in _acknowledged_reasons(one)} <= known
        assert acknowledged
        operations = sum(one.operations for one in workers)
        print(
            f"\n{KILLS} kills, every {REDIS_EVERY}th of Redis: {operations} acknowledged operations, none lost"
        )


def _acknowledged_reasons(client: Client) -> set[str]:
    return {reason for _, reason in client.acknowledged.pauses}


def test_a_start_reports_a_redis_fault_in_one_line(tmp_path: Path) -> None:
    with RedisServer({"requirepass": "secret"}) as redis:
        for url, words in (
            (redis.url, "refuses the user or the password"),
            (f"redis://:wrong@127.0.0.1:{redis.port}", "refuses the user or the password"),
            (f"redis://127.0.0.1:{free_port()}", "cannot be reached"),
        ):
            sidecar = Sidecar(CONFIG, store=url, folder=tmp_path)
            with contextlib.suppress(Exception):
                sidecar.wait(60)
            [line] = [one for one in sidecar.logs() if one["level"] in ("error", "critical")]
            assert words in line["error"], sidecar.lines
            assert "wrong" not in line["error"]
            sidecar._dir.cleanup()


def test_a_store_is_copied_to_redis_and_the_copy_can_be_repeated(tmp_path: Path) -> None:
    with Sidecar(CONFIG, store="sqlite:state.db", folder=tmp_path) as sidecar:
        sidecar.pause("team", reason="copied")
        sidecar.pause("other")
        sidecar.resume("other")
        history = [(e["scope"], e["kind"], e["at"]) for e in sidecar.get("/v1/history").json()["entries"]]
    with RedisServer() as redis:
        command = [sys.executable, "-m", "sidecar", "copy-store", f"sqlite:{tmp_path}/state.db", redis.url]
        root = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, text=True, env=root, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
        assert "0 history entries" in done.stdout
        with Sidecar(CONFIG, store=redis.url) as sidecar:
            assert sidecar.status("team")["reason"] == "copied"
            entries = sidecar.get("/v1/history").json()["entries"]
            assert [(e["scope"], e["kind"], e["at"]) for e in entries] == history
