"""The dry run of a notification reports what would happen, and changes nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sidecar import Sidecar
from sidecar.alerts import fingerprint_of

CONFIG = {"defaults": {"pause_on_distressed": True}, "policies": [{"match": "watched", "dry_run": True}]}
FIXTURES = Path(__file__).parents[1] / "fixtures" / "alertmanager"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Sidecar:
    with Sidecar(CONFIG, store="sqlite:state.db", folder=tmp_path_factory.mktemp("explain")) as running:
        yield running


def body(name: str, scope: str) -> bytes:
    message = json.loads((FIXTURES / f"{name}.json").read_bytes())
    for alert in message["alerts"]:
        alert["labels"] = {**alert["labels"], "wellbeing_scope": scope, "severity": "critical"}
        alert["fingerprint"] = fingerprint_of({"alertname": "x", "scope": scope})
    return json.dumps(message).encode()


def explain(own: Sidecar, data: bytes) -> list[dict]:
    answer = own.session.post(f"{own.url}/v1/alerts?dry_run=true", data=data, timeout=30)
    found = own.ok(answer)
    assert found["dry_run"] is True
    return found["alerts"]


def cli(own: Sidecar, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar", "explain", "--url", own.url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def seen(own: Sidecar, log: Path) -> tuple[object, ...]:
    """The content of the store and the history, every gate, and every counter of scopes and webhooks."""
    families = ("wellbeing_webhook", "wellbeing_pauses", "wellbeing_signals", "wellbeing_advised_pauses",
                "wellbeing_interventions", "wellbeing_state", "wellbeing_store_commit")  # fmt: skip
    metrics = [line for line in own.get("/metrics").text.splitlines() if line.startswith(families)]
    with sqlite3.connect(log) as db:
        # The running sidecar has locked the file, so this reads a copy.
        rows = [db.execute(f"SELECT * FROM {table}").fetchall() for table in ("scopes", "signals", "history")]
    status = own.status(below="true")
    return metrics, rows, status, own.get("/v1/history").json()


def copy_of(own: Sidecar, to: Path) -> Path:
    folder = own.config_path.parent
    for name in ("state.db", "state.db-wal"):
        (to / name).write_bytes((folder / name).read_bytes())
    return to / "state.db"


@pytest.mark.parametrize("scope", ["quiet", "watched", "new/one", "*", "a//b"])
@pytest.mark.parametrize("name", ["01_single_firing", "02_single_resolved", "04_group_mixed_status"])
def test_a_dry_run_changes_nothing(own: Sidecar, tmp_path: Path, name: str, scope: str) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before = seen(own, copy_of(own, tmp_path / "before"))
    versions = own.get("/v1/gate").headers["ETag"]
    assert explain(own, body(name, scope))
    after = seen(own, copy_of(own, tmp_path / "after"))
    assert own.get("/v1/gate").headers["ETag"] == versions
    requests = ("requests_total",)
    for status in (before[2], after[2]):
        for counter in requests:
            status["counters"].pop(counter)
            for one in [*status["unwell"], *status["below"]]:
                one["counters"].pop(counter, None)
    assert before == after


def test_explain_says_what_a_pause_would_stop_now(own: Sidecar) -> None:
    own.claim("busy/one", "cautious")
    own.claim("busy", "cautious")
    for _ in range(3):
        own.gate("busy/one")
    own.gate("busy/unnamed")
    [one] = explain(own, body("01_single_firing", "busy"))
    assert (one["effect"], one["scope"], one["outcome"]) == ("pauses", "busy", "applied")
    assert one["affects"] == {
        "scopes": 2, "waiters": 0, "requests_last_minute": 4, "names": ["busy", "busy/one"],
    }  # fmt: skip
    [one] = explain(own, body("01_single_firing", "nobody"))
    assert one["affects"]["requests_last_minute"] is None


def test_the_explained_effect_is_what_happens(own: Sidecar) -> None:
    for scope, effect, gate in (("then", "pauses", "closed"), ("watched", "advises", "open")):
        data = body("01_single_firing", scope)
        [one] = explain(own, data)
        assert one["effect"] == effect
        own.ok(own.notify(data))
        assert own.status(scope)["gate"] == gate
        assert explain(own, data)[0]["effect"] == "nothing"
        ended = body("02_single_resolved", scope)
        assert explain(own, ended)[0]["effect"] == {"pauses": "resumes", "advises": "ends_advice"}[effect]
        own.ok(own.notify(ended))
        assert own.status(scope)["advice"] is None
        assert explain(own, data)[0]["why"] == "stale"


def test_a_large_notification_is_explained_like_its_alerts_one_by_one(own: Sidecar) -> None:
    message = json.loads(body("01_single_firing", "watched/large"))
    (alert,) = message["alerts"]
    message["alerts"] = [
        {**alert, "labels": {**alert["labels"], "wellbeing_scope": f"large/{n}"}, "fingerprint": f"{n:016x}"}
        for n in range(100)
    ]
    together = explain(own, json.dumps(message).encode())
    one_by_one = [
        explain(own, json.dumps({**message, "alerts": [one]}).encode())[0] for one in message["alerts"][::33]
    ]
    for one in (*together, *one_by_one):
        assert one.pop("until") is not None
    assert together[::33] == one_by_one


@pytest.mark.parametrize("value", ["", "1", "TRUE", "yes"])
def test_a_dry_run_that_is_neither_true_nor_false_is_refused(own: Sidecar, value: str) -> None:
    answer = own.session.post(f"{own.url}/v1/alerts?dry_run={value}", data=b"{}", timeout=30)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-parameter")


def test_a_body_that_is_not_a_notification_is_refused_and_not_counted(own: Sidecar) -> None:
    before = own.metric('wellbeing_webhook_notifications_total{result="invalid"}')
    answer = own.session.post(f"{own.url}/v1/alerts?dry_run=true", data=b"{}", timeout=30)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-notification")
    assert own.metric('wellbeing_webhook_notifications_total{result="invalid"}') == before


def test_the_command_queries_a_running_sidecar_and_prints_the_effect_in_words(
    own: Sidecar, tmp_path: Path
) -> None:
    labels = ("alertname=Slow", "severity=critical", "wellbeing_scope=watched/x y")
    flags = [part for label in labels for part in ("--label", label)]
    said = cli(own, *flags, "--annotation", "summary=too slow")
    assert said.returncode == 0, said.stderr
    assert "effect: advises (dry_run)" in said.stdout
    assert '"x y" is not a valid segment: it becomes x_y~' in said.stdout
    assert f"policies[0] for watched ({own.config_path}:" in said.stdout
    assert "state: distressed: too slow" in said.stdout
    captured = tmp_path / "notification.json"
    captured.write_bytes(body("04_group_mixed_status", "watched"))
    listed = cli(own, "--file", str(captured), "--json")
    offline = cli(own, "--file", str(captured), "--json", "--config", str(own.config_path))
    alerts, without = json.loads(listed.stdout)["alerts"], json.loads(offline.stdout)["alerts"]
    assert [one["rules"] for one in alerts] == [one["rules"] for one in without]
    assert {one["status"] for one in alerts} == {"firing", "resolved"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "give either --label NAME=VALUE"),
        (("--label", "severity"), 2, "--label: must be NAME=VALUE, got 'severity'"),
        (("--label", "a=b", "--label", "a=c"), 2, "--label: a is given twice"),
        (("--file", "/nowhere/at/all"), 1, "cannot be read: No such file or directory"),
        (("--file", __file__), 1, "is not JSON"),
    ],
)
def test_wrong_arguments_are_reported_in_one_sentence(
    own: Sidecar, arguments: tuple[str, ...], status: int, message: str
) -> None:
    said = cli(own, *arguments)
    assert (said.returncode, said.stdout) == (status, "")
    assert message in said.stderr
    assert len(said.stderr.splitlines()) == 1
