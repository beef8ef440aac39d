"""A fleet on each kind of Redis: a cluster, TLS, users with few rights, replicas, newer records, lost data."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fleet import controllers
from harness.in_loop import until
from harness.ports import free_port
from harness.process import eventually, program
from harness.redis_server import RedisServer
from harness.tls import certify
from sidecar.core.commands import Pause, Resume
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store import HistoryQuery, StoreError, StoreUnavailable, WatchdogNotice
from sidecar.store.redis.store import RedisStore

ROOT = Path(__file__).parents[2]
ACL = re.search(r"ACL SETUSER (.*)", (ROOT / "docs" / "how-to" / "fleet.md").read_text())[1]


def closed(controller: FleetController, scope: str) -> bool:
    gate = controller.tree.gates.get(scope)
    return gate is not None and gate.closed


async def work_together(running: list[FleetController]) -> None:
    """A pause at the first sidecar takes effect at the last one, which resumes. All have the history."""
    one, two = running[0], running[-1]
    await one.submit(Pause("team", "x", "me"))
    await until(lambda: all(closed(each, "team") for each in running), "all are closed")
    await two.submit(Resume("team", "me"))
    await until(lambda: not any(closed(each, "team") for each in running), "all are open")
    kinds = [entry.kind for entry in await one.history(HistoryQuery(scope="team"))]
    assert kinds[:2] == ["resume", "pause"]
    assert sum(each.is_leader for each in running) == 1


def test_a_fleet_works_on_a_redis_cluster() -> None:
    with ExitStack() as stack:
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "appendonly": "no"}
        nodes = [
            stack.enter_context(RedisServer({**options, "cluster-port": str(free_port())})) for _ in range(3)
        ]
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        command = [program("redis-cli"), "--cluster", "create", *addresses, "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout
        eventually(
            lambda: all("cluster_state:ok" in n.cli("cluster", "info") for n in nodes),
            "the cluster is formed",
        )

        async def main() -> None:
            async with controllers(f"redis+cluster://{','.join(addresses)}", 2) as running:
                await work_together(running)
            keys = [set(node.cli("keys", "{wellbeing}:*").split()) for node in nodes]
            assert sorted(map(bool, keys)) == [False, False, True]

        asyncio.run(main())


def test_a_fleet_works_over_tls_with_the_documented_rights(tmp_path: Path) -> None:
    certify(tmp_path)
    port = free_port()
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    with RedisServer(
        {
            "tls-port": str(port),
            "tls-cert-file": str(tmp_path / "cert.pem"),
            "tls-key-file": str(tmp_path / "key.pem"),
            "tls-ca-cert-file": str(tmp_path / "cert.pem"),
            "tls-auth-clients": "no",
        }
    ) as redis:
        assert redis.cli("acl", "setuser", *ACL.replace(">password", ">s3cret").split()) == "OK"
        redis.cli("config", "set", "requirepass", "another")

        async def main() -> None:
            settings = {
                "username": "wellbeing",
                "password_file": str(password),
                "ca_file": str(tmp_path / "cert.pem"),
            }
            async with controllers(f"rediss://127.0.0.1:{port}", 2, **settings) as running:
                await work_together(running)
                for one in running:
                    await one._store.beat()
                    await one._store._trim()
                    await one._store.save_values({"hook:x": "1"})
                    assert await one._store.load_values() == {"hook:x": "1"}
                    await one._store.share_watchdog("Watchdog", WatchdogNotice(firing=True))
                    assert one._store.status.sidecars == 2
                    assert one._store.status.up

        asyncio.run(main())

        def check(env: dict[str, str], *flags: str) -> tuple[int, str]:
            config = tmp_path / "sidecar.yaml"
            config.write_text(f"store: redis://127.0.0.1:{redis.port}\nredis: {{username: wellbeing}}\n")
            command = [sys.executable, "-m", "sidecar", "check-config", *flags, str(config)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            return done.returncode, done.stdout + done.stderr

        status, text = check({"WELLBEING_REDIS__PASSWORD": "s3cret"})
        assert status == 0, text
        assert "appendfsync" not in text
        redis.cli("-a", "another", "config", "set", "appendfsync", "everysec")
        status, text = check({"WELLBEING_REDIS__PASSWORD": "s3cret"})
        assert status == 0
        assert "appendfsync everysec: its crash can lose the last second" in text
        status, text = check({"WELLBEING_REDIS__PASSWORD": "wrong-one"})
        assert status == 1
        [line] = [one for one in text.splitlines() if "Redis" in one]
        assert "refuses the user or the password" in line
        assert "wrong-one" not in text
        redis.kill()
        status, text = check({"WELLBEING_REDIS__PASSWORD": "s3cret"})
        assert status == 1
        assert "cannot be reached" in text


def test_scripts_that_redis_has_lost_are_loaded_again(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 2) as running:
            redis.cli("script", "flush")
            await work_together(running)

    asyncio.run(main())


def test_no_sidecar_applies_a_late_resolve_of_the_watchdog(redis: RedisServer) -> None:
    """One sidecar may get Alertmanager's retry of a resolve while another one gets the alert that fires again."""

    async def main() -> None:
        async with controllers(redis.url, 2) as (one, other):
            late = WatchdogNotice(firing=False, fingerprint="f", at=90.0)
            assert await one.share_watchdog("Watchdog", late)
            assert await one.share_watchdog(
                "Watchdog", WatchdogNotice(firing=True, fingerprint="f", at=100.25)
            )
            assert not await other.share_watchdog("Watchdog", late)
            await other._store.beat()
            heard = other._store.status.watchdog
            assert heard.firing_ago() < heard.resolved_ago()
            # A different alert, an unknown alert, and an alert that ends after its last start.
            assert await other.share_watchdog("Watchdog", replace(late, fingerprint="g"))
            assert await other.share_watchdog("Watchdog", replace(late, fingerprint=""))
            assert await other.share_watchdog("Watchdog", replace(late, at=100.25))
            # A notification that is older than another one changes nothing.
            assert await one.share_watchdog("Watchdog", WatchdogNotice(firing=True, fingerprint="f", at=80.0))
            assert not await other.share_watchdog("Watchdog", late)

    asyncio.run(main())


def test_records_of_a_newer_version_are_read_and_not_written(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 1) as [one]:
            await one.submit(Pause("team", "newer", "me"))
        before = redis.cli("hgetall", "{wellbeing}:scopes")
        redis.cli("hset", "{wellbeing}:meta", "schema", "2")
        async with controllers(redis.url, 1) as [one]:
            assert closed(one, "team")
            with pytest.raises(StoreUnavailable, match="schema 2, this sidecar writes 1: update it"):
                await one.submit(Resume("team", "me"))
            assert closed(one, "team")
        assert redis.cli("hgetall", "{wellbeing}:scopes") == before

    asyncio.run(main())


def test_unknown_members_of_a_record_are_kept(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 1) as [one]:
            await one.submit(Pause("team", "x", "me"))
        version, record = redis.cli("hget", "{wellbeing}:scopes", "team").split(" ", 1)
        redis.cli("hset", "{wellbeing}:scopes", "team", f'{version} {record[:-1]},"later":[1]}}')
        async with controllers(redis.url, 1) as [one]:
            await one.submit(Pause("team", "again", "me"))
        assert '"later":[1]' in redis.cli("hget", "{wellbeing}:scopes", "team")
        assert "again" in redis.cli("hget", "{wellbeing}:scopes", "team")

    asyncio.run(main())


def test_a_command_that_no_replica_confirmed_is_refused_and_counted_once() -> None:
    with RedisServer() as master, RedisServer({"replicaof": f"127.0.0.1 {master.port}"}) as replica:

        async def main() -> None:
            await until(lambda: "master_link_status:up" in replica.cli("info", "replication"), "replica")
            async with controllers(master.url, 2, wait_replicas=1, timeout_secs=1.0) as running:
                one, two = running
                await one.submit(Pause("sure", "x", "me"))
                assert "sure" in replica.cli("hkeys", "{wellbeing}:scopes")
                replica.suspend()
                with pytest.raises(StoreUnavailable, match="0 of 1 replicas confirmed"):
                    await one.submit(Pause("unsure", "x", "me", 0.0))
                # The command may or may not take effect. Here it does.
                await until(
                    lambda: closed(one, "unsure") and closed(two, "unsure"), "both sidecars have the pause"
                )
                pauses = [each.tree.gates["unsure"].pauses["manual"] for each in running]
                assert pauses == [1, 0]
                changes: list[bool] = []
                one._shared.on_status = lambda: changes.append(one._shared.status.up)
                for _ in range(2):
                    # Redis answers, but a command would not be confirmed.
                    await one._shared.beat()
                assert not one._shared.status.up
                assert True not in changes
                replica.resume()
                await until(lambda: one._shared.status.up, "the store is up")

        asyncio.run(main())


def test_a_sidecar_commits_again_what_a_crash_of_redis_lost() -> None:
    """The test cuts the end of the append-only file: with everysec, a crash loses the last second."""
    with RedisServer({"appendfsync": "everysec", "aof-load-truncated": "yes"}) as redis:

        async def main() -> None:
            async with controllers(redis.url, 2, timeout_secs=1.0) as running:
                await running[0].submit(Pause("kept", "x", "me", 0.0))
                [file] = redis.folder.glob("appendonlydir/*.incr.aof")
                size = file.stat().st_size
                await running[0].submit(Pause("lost", "x", "me", 0.0))
                await until(lambda: closed(running[1], "lost"), "both sidecars have the pause")
                redis.kill()
                with file.open("r+b") as lost:
                    lost.truncate(size)
                await asyncio.to_thread(redis.restart)
                await until(
                    lambda: "lost" in redis.cli("hkeys", "{wellbeing}:scopes"),
                    "the lost record is in Redis again",
                )
                await until(
                    lambda: not sum(each._fleet.owed for each in running), "no record has to be written again"
                )
                assert all(closed(each, scope) for each in running for scope in ("kept", "lost"))
                assert sum(each._fleet.went_back for each in running) >= 1

        asyncio.run(main())


def test_pauses_committed_at_two_masters_are_merged() -> None:
    """A network partition leaves two masters. The old one becomes a replica, and is promoted again later."""
    with RedisServer() as first, RedisServer({"replicaof": f"127.0.0.1 {first.port}"}) as second:

        def synced(replica: RedisServer) -> bool:
            return "master_link_status:up" in replica.cli("info", "replication")

        async def main() -> None:
            async with (
                controllers(first.url, 1, timeout_secs=1.0) as [one],
                controllers(first.url, 1, timeout_secs=1.0) as [_],
            ):
                await one.submit(Pause("common", "x", "me", 0.0))
                await until(
                    lambda: "common" in second.cli("hkeys", "{wellbeing}:scopes"), "the replica has the pause"
                )
                second.cli("replicaof", "no", "one")
                async with controllers(second.url, 1) as [two]:
                    await one.submit(Pause("at-one", "x", "me", 0.0))
                    await two.submit(Pause("at-two", "x", "me", 0.0))
                    first.cli("replicaof", "127.0.0.1", str(second.port))
                    await until(lambda: synced(first), "the old master follows the new one")
                    await until(lambda: closed(one, "at-two"), "the pause of the new master applies")
                    assert closed(one, "at-one")
                    first.cli("replicaof", "no", "one")
                    await until(
                        lambda: "at-one" in first.cli("hkeys", "{wellbeing}:scopes"),
                        "the lost record is in Redis again",
                    )
                    wanted = ("common", "at-one", "at-two")
                    assert all(closed(one, scope) for scope in wanted)

        asyncio.run(main())


def test_a_replica_is_refused_in_one_line(redis: RedisServer) -> None:
    with RedisServer({"replicaof": f"127.0.0.1 {redis.port}"}) as replica:

        async def main() -> None:
            with pytest.raises(StoreError, match="is a replica: name the master"):
                async with controllers(replica.url, 1):
                    pass

        asyncio.run(main())


DAMAGE = (
    ("flushall",),
    ("del", "{wellbeing}:meta"),
    ("del", "{wellbeing}:scopes"),
    ("del", "{wellbeing}:sources", "{wellbeing}:tombstones"),
    ("del", "{wellbeing}:log", "{wellbeing}:history"),
    ("hset", "{wellbeing}:meta", "seq", "nonsense"),
    ("hset", "{wellbeing}:meta", "history", "1e5"),
    ("hdel", "{wellbeing}:meta", "term"),
    ("hset", "{wellbeing}:meta", "term", "nonsense"),
    ("hset", "{wellbeing}:scopes", "team", "7 {no json"),
    ("hset", "{wellbeing}:scopes", "another", "a\nb"),
    ("hset", "{wellbeing}:sources", "alert:x", "nonsense"),
    ("xadd", "{wellbeing}:log", "*", "of", "another"),
    ("xadd", "{wellbeing}:history", "*", "of", "another"),
    ("publish", "{wellbeing}:changes", "nonsense"),
    ("publish", "{wellbeing}:changes", "999 token epoch 0 {}"),
)


def test_a_fleet_recovers_from_keys_that_another_program_changed(redis: RedisServer) -> None:
    """The same happens if Redis evicts a key."""

    async def main() -> None:
        async with controllers(redis.url, 2) as running:
            one, two = running
            await one.submit(Pause("team", "x", "me", 0.0))
            for number, damage in enumerate(DAMAGE):
                redis.cli(*damage)
                for each in running:
                    await each._store.beat()
                scope = f"after/{number}"
                await acknowledged(two, Pause(scope, "x", "me", 0.0))
                await until(lambda scope=scope: closed(one, scope), f"{damage}: the first follows")
                await until(lambda: "team" in redis.cli("hkeys", "{wellbeing}:scopes"), f"{damage}: stored")
                await until(lambda: not sum(each._fleet.owed for each in running), f"{damage}: none owed")
                assert all(closed(each, "team") for each in running), damage
                for each in running:
                    await each._store.beat()
                assert sum(each.is_leader for each in running) == 1, damage
        async with controllers(redis.url, 1) as [third]:
            scopes = ("team", *(f"after/{number}" for number in range(len(DAMAGE))))
            assert [scope for scope in scopes if not closed(third, scope)] == []
            assert await third.history(HistoryQuery())

    asyncio.run(main())


async def acknowledged(controller: FleetController, command: Pause | Resume) -> None:
    """Repeat ``command`` until the store accepts it, like a client that gets 503."""
    deadline = time.monotonic() + 15.0
    while True:
        try:
            await controller.submit(command)
        except StoreUnavailable:
            assert time.monotonic() < deadline, command
            await asyncio.sleep(0.05)
        else:
            return


def test_a_redis_without_memory_changes_no_gate_and_is_reported(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 2) as running:
            one, two = running
            await one.submit(Pause("team", "x", "me", 0.0))
            await until(lambda: closed(two, "team"), "the second sidecar follows")
            try:
                redis.cli("config", "set", "maxmemory", "1")
                with pytest.raises(StoreUnavailable, match="it has reached its maxmemory"):
                    await two.submit(Resume("team", "me"))
                # Redis evicts every key.
                redis.cli("config", "set", "maxmemory-policy", "allkeys-lru")
                await until(lambda: redis.cli("dbsize") == "0", "Redis is empty")
                assert closed(one, "team")
                assert closed(two, "team")
            finally:
                redis.cli("config", "set", "maxmemory", "0")
                redis.cli("config", "set", "maxmemory-policy", "noeviction")
            await until(
                lambda: "team" in redis.cli("hkeys", "{wellbeing}:scopes"), "the pause is written again"
            )
            await acknowledged(two, Resume("team", "me"))
            await until(lambda: not any(closed(each, "team") for each in running), "all are open")

    asyncio.run(main())


def test_a_redis_without_memory_is_down_until_it_accepts_a_write(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisStore, "beat_secs", 0.02)
    beat, states = RedisStore.beat, []

    async def observed(store: RedisStore) -> None:
        await beat(store)
        states.append(store.status.up)

    monkeypatch.setattr(RedisStore, "beat", observed)

    async def main() -> None:
        async with controllers(redis.url, 1) as [one]:
            await one.submit(Pause("team", "x", "me", 0.0))
            try:
                redis.cli("config", "set", "maxmemory", "1")
                with pytest.raises(StoreUnavailable, match="it has reached its maxmemory"):
                    await one.submit(Resume("team", "me"))
                states.clear()
                await until(lambda: len(states) > 10, "the sidecar has queried Redis ten times")
                assert not any(states)
                assert not one.counters.store_up
            finally:
                redis.cli("config", "set", "maxmemory", "0")
            await until(lambda: one.counters.store_up, "the store is up")
            await acknowledged(one, Resume("team", "me"))

    asyncio.run(main())


def test_a_key_of_another_type_is_reported(redis: RedisServer) -> None:
    redis.cli("set", "{wellbeing}:scopes", "of another program")

    async def main() -> None:
        with pytest.raises(StoreError, match=r"keys that begin with 'wellbeing'.*use another redis.prefix"):
            async with controllers(redis.url, 1):
                pass

    asyncio.run(main())
