"""Durability: a response of 200 means that the change survives a crash."""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import shutil
import sqlite3
import stat
import time
from pathlib import Path
from typing import NoReturn

import pytest
import requests

from harness.process import eventually
from harness.sidecar import Sidecar

PAUSING = {"defaults": {"pause_on_distressed": True}}


def start(folder: Path, **config) -> Sidecar:
    return Sidecar(config or PAUSING, store="sqlite:state.db", folder=folder)


def fixture(name: str, scope: str = "*") -> bytes:
    """A captured notification about ``scope``."""
    path = Path(__file__).parents[1] / "fixtures" / "alertmanager" / f"{name}.json"
    message = json.loads(path.read_bytes())
    for alert in message["alerts"]:
        alert["labels"]["wellbeing_scope"] = scope
    return json.dumps(message).encode()


def test_state_holds_and_history_survive_a_kill(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        first.pause("a", "by hand", max_pause_secs=0)
        first.claim("b/c", "distressed", reason="lost", source="me")
        first.claim("d", "cautious", ttl_secs=1000)
        before = [first.status(scope) for scope in ("a", "b/c", "d")]
        first.kill()
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600
    with start(tmp_path) as second:
        after = [second.status(scope) for scope in ("a", "b/c", "d")]
        for old, new in zip(before, after, strict=True):
            assert (old["signals"], old["holds"], old["gate"]) == (new["signals"], new["holds"], new["gate"])
            assert new["version"] > old["version"], "a version never comes again"
            assert new["counters"]["requests_total"] == 0
        assert second.gate("b/c/x", wait=0).json()["reason"] == "lost"
        kinds = [entry["kind"] for entry in second.get("/v1/history").json()["entries"]]
        assert kinds == ["intervention", "pause", "intervention", "pause"]


def test_a_suppressed_episode_survives_a_kill(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        first.claim("a", "distressed", source="x")
        first.resume("a")
        first.kill()
    with start(tmp_path) as second:
        assert second.claim("a", "distressed", source="x")["gate"] == "open"
        assert second.claim("a", "distressed", source="y")["gate"] == "closed"


def test_holds_that_expired_while_stopped_are_lifted_before_the_first_response(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        first.pause("a", "short", max_pause_secs=0.3)
        first.claim("b", "distressed", ttl_secs=0.3)
        first.stop()
    with start(tmp_path) as second:
        assert second.gate("a", wait=0).status_code == 200
        assert second.gate("b", wait=0).status_code == 200
        entries = second.get("/v1/history", params={"kind": "resume"}).json()["entries"]
        assert {(entry["scope"], entry["cause"]) for entry in entries} == {
            ("a", "max_pause"),
            ("b", "expired"),
        }


def test_a_resolved_alert_stays_resolved_after_a_restart(tmp_path: Path) -> None:
    firing, resolved = fixture("01_single_firing"), fixture("02_single_resolved")
    with start(tmp_path) as first:
        first.notify(firing)
        first.notify(resolved)
        first.kill()
    with start(tmp_path) as second:
        assert second.notify(firing).json()["alerts"]["stale"] == 1
        assert second.gate().status_code == 200


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(AssertionError, match="has schema version 99, this sidecar supports 5"):
        start(tmp_path).__enter__()


def test_a_second_sidecar_on_the_same_file_is_refused(tmp_path: Path) -> None:
    with start(tmp_path), pytest.raises(AssertionError, match="is in use by another process"):
        start(tmp_path).__enter__()


def test_a_damaged_file_is_refused_or_set_aside(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(AssertionError, match="is damaged or not a store"):
        start(tmp_path).__enter__()
    assert (tmp_path / "state.db").read_bytes().startswith(b"this is no")
    config = {"store": {"on_corrupt": "quarantine"}}
    with start(tmp_path, **config) as second:
        assert second.wait_log("store_quarantined")["moved_to"].startswith("state.db.corrupt-")
        assert second.pause("a")["gate"] == "closed"
    assert len(list(tmp_path.glob("state.db.corrupt-*"))) == 1


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with a claim and a pause."""
    folder = tmp_path_factory.mktemp("whole")
    with start(folder) as own:
        own.claim("a", "distressed")
        own.pause("b", max_pause_secs=0)
    return folder / "state.db"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE signals SET state = 17",
        "UPDATE signals SET since = 'soon'",
        "UPDATE scopes SET manual = replace(manual, 'null', '\"late\"')",
        "UPDATE meta SET value = 'x' WHERE key = 'version'",
        "UPDATE meta SET value = 'x' WHERE key = 'seen_at'",
        "DROP TABLE meta",
    ],
)
def test_impossible_values_count_as_damage(tmp_path: Path, whole_store: Path, damage: str) -> None:
    shutil.copy(whole_store, tmp_path / "state.db")
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute(damage)
    db.close()
    with pytest.raises(AssertionError, match=r"state\.db is damaged or not a store.*quarantine"):
        start(tmp_path).__enter__()
    with start(tmp_path, store={"on_corrupt": "quarantine"}) as second:
        second.wait_log("store_quarantined")
        assert second.status("b")["gate"] == "open"


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    for config in ({}, {"store": {"on_corrupt": "quarantine"}}):
        with pytest.raises(AssertionError, match="is the database of another program"):
            start(tmp_path, **config).__enter__()
    with sqlite3.connect(tmp_path / "state.db") as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master")] == ["customers"]
    db.close()


def test_each_history_page_links_to_the_next(tmp_path: Path) -> None:
    with start(tmp_path) as own:
        for number in range(5):
            own.pause(f"s/{number}")
        own.pause("sx")
        seen, cursor = [], {}
        while True:
            page = own.get("/v1/history/s", params={"limit": 2, **cursor}).json()
            seen += [entry["scope"] for entry in page["entries"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == [f"s/{number}" for number in (4, 3, 2, 1, 0)]
        assert len(own.get("/v1/history/s", params={"below": "false"}).json()["entries"]) == 0
        assert (
            len(
                own.get("/v1/history", params={"kind": "pause", "since": "2100-01-01T00:00:00Z"}).json()[
                    "entries"
                ]
            )
            == 0
        )
        for wrong in ({"kind": "x"}, {"limit": "0"}, {"cursor": "x"}, {"since": "now"}, {"below": "x"}):
            answer = own.get("/v1/history", params=wrong)
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-parameter")


def mounted(folder: Path, options: str) -> tuple[str, ...]:
    """A command that runs a sidecar with a small file system mounted at ``folder``."""
    namespace = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    script = f'mount -t tmpfs -o {options} tmpfs "$0" && exec "$@"'
    return (*namespace, "sh", "-c", script, str(folder))


def write_without_end(file: io.RawIOBase) -> NoReturn:
    while True:
        file.write(bytes(512))


def test_a_full_disk_refuses_changes_until_there_is_space(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with Sidecar(PAUSING, store=f"sqlite:{disk}/state.db", inside=mounted(disk, "size=1m")) as own:
        own.pause("a")
        seen = Path(f"/proc/{own.worker_pid}/root{disk}")
        filler = (seen / "filler").open("wb", buffering=0)
        with pytest.raises(OSError, match="No space left"):
            write_without_end(filler)
        filler.close()

        answers: list[requests.Response] = []

        def is_full() -> bool:
            # Without free space, the store reuses the space of its WAL file. It may accept a few more changes.
            reasons = ("x" * 900, "x", "x")
            pause = f"{own.url}/v1/pause/b"
            answers[:] = [own.session.post(pause, json={"reason": one}, timeout=30) for one in reasons]
            return all(one.status_code != 200 for one in answers)

        eventually(is_full, "the disk is full")
        answer = answers[-1]
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-unavailable")
        assert "full" in answer.json()["detail"]
        assert own.metric("wellbeing_store_up") == 0
        assert own.gate("a", wait=0).status_code == 503
        assert own.gate("c", wait=0).status_code == 200
        assert own.notify(fixture("01_single_firing")).status_code == 503
        assert own.gate("c", wait=0).status_code == 200
        (seen / "filler").unlink()
        own.wait_for_metric("wellbeing_store_up", 1)
        assert own.pause("c")["gate"] == "closed"


def test_a_directory_that_cannot_be_written_to_is_refused_by_name(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    sidecar = Sidecar(PAUSING, store=f"sqlite:{disk}/state.db", inside=mounted(disk, "ro"))
    with pytest.raises(AssertionError, match=f"{disk}/state.db.*(read-only|unable to open|cannot be)"):
        sidecar.__enter__()


def test_a_hold_expires_while_the_store_is_down(tmp_path: Path) -> None:
    with start(tmp_path) as own:
        own.pause("a", "short", max_pause_secs=1)
        # No file may grow: writes fail as on a full disk.
        resource.prlimit(own.worker_pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        answer = own.session.post(f"{own.url}/v1/pause/b", json={"reason": "x"}, timeout=30)
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/store-unavailable")
        assert own.status("b")["gate"] == "open"
        assert "wellbeing_store_up 0.0" in own.get("/metrics").text
        assert own.gate("a", wait=20).status_code == 200
        resource.prlimit(
            own.worker_pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        eventually(lambda: "wellbeing_store_up 1.0" in own.get("/metrics").text, "the store heals")
        assert own.pause("b")["gate"] == "closed"
        own.kill()
    with start(tmp_path) as second:
        assert second.status("a")["holds"] == []
        assert second.status("b")["gate"] == "closed"
        kinds = [(entry["scope"], entry["kind"]) for entry in second.get("/v1/history").json()["entries"]]
        assert kinds == [("b", "pause"), ("", "store"), ("a", "resume"), ("", "store"), ("a", "pause")]


def test_a_thousand_simultaneous_changes_need_few_commits(tmp_path: Path) -> None:
    count = 1000
    with start(tmp_path) as own:
        before = own.metric("wellbeing_store_commit_seconds_count")

        async def claim(number: int) -> bytes:
            reader, writer = await asyncio.open_connection(*own.where)
            body = b'{"state": "cautious"}'
            head = f"PUT /v1/state/s/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer[:12]

        async def claim_all() -> list[bytes]:
            return await asyncio.gather(*map(claim, range(count)))

        answers = asyncio.run(claim_all())
        assert answers == [b"HTTP/1.1 200"] * count
        commits = own.metric("wellbeing_store_commit_seconds_count") - before
        print(f"{count} changes, {commits:g} commits")
        assert commits <= count / 4
        own.kill()
    with start(tmp_path) as second:
        assert len(second.status("s", below="true")["below"]) == count


# A store of an older version, schema version 2: without alert names, and with a scope that is not valid any
# more.
_OLD_SCHEMA = """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE scopes (
        scope TEXT PRIMARY KEY, state INTEGER NOT NULL, auto TEXT, manual TEXT, episode TEXT
    ) WITHOUT ROWID;
    CREATE TABLE signals (
        scope TEXT NOT NULL, source TEXT NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL,
        since REAL NOT NULL, expires_at REAL, ended_at REAL, asked TEXT NOT NULL,
        PRIMARY KEY (scope, source)
    ) WITHOUT ROWID;
    CREATE TABLE tombstones (
        source TEXT PRIMARY KEY, ended_at REAL NOT NULL, keep_until REAL NOT NULL, heard_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE history (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, scope TEXT NOT NULL, kind TEXT NOT NULL,
        old TEXT NOT NULL, new TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
        cause TEXT NOT NULL, until REAL, actor TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX history_scope ON history (scope, id);
    CREATE INDEX history_at ON history (at);
    PRAGMA user_version = 2;
    PRAGMA application_id = 0x77656C6C;
"""


def old_store(path: Path) -> None:
    def hold(kind: str, by: str) -> str:
        return json.dumps({"kind": kind, "reason": "why", "since": 1.0, "until": None, "by": by})

    episode = json.dumps({"since": 1.0, "level": 3, "known": ["alert:f1"], "suppressed": True})
    with sqlite3.connect(path) as db:
        db.executescript(_OLD_SCHEMA)
        db.executemany(
            "INSERT INTO scopes VALUES (?, ?, ?, ?, ?)",
            [
                ("", 3, hold("auto", "alert:f0"), None, None),
                ("spent", 3, None, None, episode),
                ("team-a/..", 3, None, hold("manual", "anna"), None),
            ],
        )
        db.executemany(
            "INSERT INTO signals VALUES (?, ?, 3, 'bad', 1.0, 9e9, NULL, '')",
            [("", "alert:f0"), ("spent", "alert:f1"), ("team-a/..", "alert:f2")],
        )
        db.execute(
            "INSERT INTO history (at, scope, kind, old, new, source, reason, cause)"
            " VALUES (?, 'spent', 'pause', 'open', 'closed', 'alert:f1', 'bad', 'auto')",
            (time.time(),),
        )
    db.close()


def test_a_store_of_an_older_version_is_migrated(tmp_path: Path) -> None:
    old_store(tmp_path / "state.db")
    with start(tmp_path) as own:
        [signal] = own.status("spent")["signals"]
        assert (signal["source"], signal["alertname"]) == ("alert:f1", None)
        assert own.get("/v1/history/spent").json()["entries"][0]["alertname"] is None
        # The old built-in rules put it at the root. Its resolve ends it, whatever the current rules are.
        assert own.status()["signals"][0]["source"] == "alert:f0"
        assert own.gate("x", wait=0).status_code == 503
        message = json.loads(fixture("02_single_resolved"))
        [alert] = message["alerts"]
        del alert["labels"]["wellbeing_scope"]
        alert["fingerprint"] = "f0"
        assert own.notify(json.dumps(message).encode()).json()["alerts"]["applied"] == 1
        assert own.gate("x", wait=0).status_code == 200
        own.kill()
    with start(tmp_path) as own:
        assert own.status("spent")["state"] == "distressed"
        assert own.status()["signals"] == []


def test_a_stored_scope_that_is_no_longer_valid_is_dropped_and_its_hold_is_logged(tmp_path: Path) -> None:
    old_store(tmp_path / "state.db")
    with start(tmp_path) as own:
        line = own.wait_log("scope_dropped")
        assert (line["level"], line["scope"]) == ("error", "team-a/..")
        assert (line["manual_hold"], line["signals"]) == ("why (by anna)", ["alert:f2"])
        assert {one["scope"] for one in own.status(below="true")["below"]} == {"spent"}
        own.kill()
    with start(tmp_path) as own:
        assert own.logs("scope_dropped") == [], "it is gone from the store as well"
        own.stop()
    with sqlite3.connect(tmp_path / "state.db") as db:
        for table in ("scopes", "signals"):
            assert {scope for (scope,) in db.execute(f"SELECT scope FROM {table}")} <= {"", "spent"}
    db.close()


def test_alert_names_and_the_causes_of_resumes_survive_a_kill(tmp_path: Path) -> None:
    with start(tmp_path) as own:
        own.notify(fixture("01_single_firing", "a"))
        [signal] = own.status("a")["signals"]
        [hold] = own.status("a")["holds"]
        assert (signal["alertname"], hold["alertname"]) == (signal["alertname"], signal["alertname"])
        assert signal["alertname"]
        own.kill()
    with start(tmp_path) as own:
        after = own.status("a")
        assert (after["signals"], after["holds"]) == ([signal], [hold])
        names = {entry["alertname"] for entry in own.get("/v1/history/a").json()["entries"]}
        assert names == {signal["alertname"]}


def test_a_watchdog_received_before_a_restart_counts_as_received_after_it(tmp_path: Path) -> None:
    config = {"alerts": {"watchdog": {"alertname": "Watchdog", "timeout_secs": 2}}}
    with start(tmp_path, **config) as own:
        assert own.metric("wellbeing_watchdog_heard") == 0
        assert own.status()["watchdog"] == {"alertname": "Watchdog", "heard": False}
        assert own.wait_log("watchdog_not_heard")["alertname"] == "Watchdog"
        assert own.status()["blind"] is False
        message = json.loads(fixture("01_single_firing"))
        message["alerts"][0]["labels"]["alertname"] = "Watchdog"
        assert own.notify(json.dumps(message).encode()).status_code == 200
        assert own.metric("wellbeing_watchdog_heard") == 1
        own.kill()
    with start(tmp_path, **config) as own:
        assert own.metric("wellbeing_watchdog_heard") == 1
        own.wait_for_metric("wellbeing_blind", 1)
        assert own.logs("watchdog_not_heard") == []


def test_without_a_watchdog_the_status_does_not_mention_one(tmp_path: Path) -> None:
    with start(tmp_path) as own:
        assert own.status()["watchdog"] is None
        assert "\nwellbeing_watchdog_heard " not in own.get("/metrics").text
