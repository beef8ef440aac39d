"""Every route with every role and every kind of credential: access is exactly as in the table of roles."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from harness.process import eventually_equal
from harness.sidecar import Sidecar
from sidecar.alerts import fingerprint_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "alertmanager"
ROLES = ("worker", "agent", "webhook", "viewer", "operator")
TOKENS = {role: f"a-token-of-a-{role}-that-is-long" for role in ROLES}
ROTATED = "a-token-that-was-rotated-out"
# The hashes of the passwords "open sesame" and "nothing".
BCRYPT = "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"

REPORT = {"client": "c", "sequence": 1, "requests": 0}
NOTIFICATION = json.loads((FIXTURES / "01_single_firing.json").read_text())
# Each request with the role that it requires; None: it requires no role.
TABLE: tuple[tuple[str, str, Any, str | None], ...] = (
    ("GET", "/v1/gate", None, "worker"),
    ("HEAD", "/v1/gate", None, "worker"),
    ("GET", "/v1/gate/known", None, "worker"),
    ("GET", "/v1/gate/unknown", None, "worker"),
    ("GET", "/v1/watch", None, "worker"),
    ("GET", "/v1/watch/known", None, "worker"),
    ("POST", "/v1/reports/known", REPORT, "worker"),
    ("PUT", "/v1/state/known", {"state": "healthy"}, "agent"),
    ("POST", "/v1/alerts", {**NOTIFICATION, "alerts": []}, "webhook"),
    ("GET", "/v1/status", None, "viewer"),
    ("GET", "/v1/status/known?below=true", None, "viewer"),
    ("GET", "/v1/history", None, "viewer"),
    ("GET", "/v1/history/known", None, "viewer"),
    ("GET", "/metrics", None, "viewer"),
    ("POST", "/v1/pause/known", {"reason": "a test"}, "operator"),
    ("POST", "/v1/resume/known", {}, "operator"),
    ("POST", "/-/reload", None, "operator"),
    ("GET", "/-/healthy", None, None),
    ("GET", "/-/ready", None, None),
    ("GET", "/problems/unauthorized", None, None),
)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("auth")
    for role, token in TOKENS.items():
        (folder / role).write_text(token + "\n")
    (folder / "rotated").write_text(ROTATED)
    return folder


@pytest.fixture(scope="module")
def sidecar(folder: Path) -> Iterator[Sidecar]:
    credentials: list[dict[str, Any]] = [
        {"name": f"a-{role}", "roles": [role], "token_file": str(folder / role)} for role in ROLES
    ]
    credentials += [
        {"name": "rotated", "roles": list(ROLES), "token_file": str(folder / "rotated")},
        {"name": "sesame", "roles": ["webhook"], "username": "sidecar", "password_bcrypt": BCRYPT},
        {"name": "team-a", "roles": list(ROLES), "scope": "team-a", "token_env": "TEAM_A"},
    ]
    config = {
        "auth": {"credentials": credentials},
        "limits": {"max_auth_failures_per_minute": 1_000_000},
        "defaults": {"pause_on_distressed": True},
    }
    with Sidecar(config, env={"TEAM_A": "a-token-of-team-a-only"}) as own:
        (folder / "rotated").write_text("another-token-altogether")
        own.wait_log("credentials_reloaded")
        own.session.headers.update(bearer(TOKENS["operator"]))
        own.pause("known")
        own.resume("known")
        own.session.headers.clear()
        yield own


def ask(sidecar: Sidecar, method: str, path: str, body: object, headers: dict[str, str]) -> requests.Response:
    return requests.request(method, sidecar.url + path, json=body, headers=headers, timeout=30)


def state_of(sidecar: Sidecar) -> tuple[object, ...]:
    """The state that a refused request must not change, without the counts of refused requests."""
    headers = bearer(TOKENS["viewer"])
    status = ask(sidecar, "GET", "/v1/status?below=true", None, headers).json()
    history = ask(sidecar, "GET", "/v1/history", None, headers).json()
    return json.dumps(status), json.dumps(history)


@pytest.mark.parametrize(("method", "path", "body", "role"), TABLE, ids=lambda value: str(value)[:30])
def test_a_route_accepts_only_its_role(
    sidecar: Sidecar, method: str, path: str, body: object, role: str | None
) -> None:
    for other in ROLES:
        answer = ask(sidecar, method, path, body, bearer(TOKENS[other]))
        if role in (None, other):
            assert answer.status_code in (200, 304), (other, answer.text)
        else:
            assert answer.status_code == 403, (other, answer.text)
            assert method == "HEAD" or answer.json()["type"] == "/problems/forbidden"


@pytest.mark.parametrize(("method", "path", "body", "role"), TABLE, ids=lambda value: str(value)[:30])
def test_a_wrong_credential_changes_nothing_and_reveals_nothing(
    sidecar: Sidecar, method: str, path: str, body: object, role: str | None
) -> None:
    before = state_of(sidecar)
    texts = set()
    for headers in (
        {},
        bearer("a-token-that-is-wrong"),
        bearer(ROTATED),
        bearer(""),
        {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="},
        {"Authorization": "Basic !"},
        {"Authorization": "Digest x"},
    ):
        answer = ask(sidecar, method, path, body, headers)
        if role is None:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, (headers, answer.text)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        texts.add(answer.text)
        assert "known" not in answer.text
        assert TOKENS["operator"] not in answer.text
    assert state_of(sidecar) == before
    assert len(texts) <= 2


def test_only_authenticated_clients_learn_that_a_route_does_not_exist(sidecar: Sidecar) -> None:
    for path in ("/nothing", "/v1/nothing", "/v1/gates", "/static/x"):
        assert ask(sidecar, "GET", path, None, {}).status_code == 401
        assert ask(sidecar, "GET", path, None, bearer(TOKENS["worker"])).status_code == 404


def test_a_refusal_does_not_reveal_whether_a_scope_exists(sidecar: Sidecar) -> None:
    for headers in ({}, bearer(TOKENS["webhook"]), bearer("a-token-of-team-a-only")):
        answers = [
            ask(sidecar, "GET", f"/v1/{what}/{scope}", None, headers)
            for what in ("gate", "watch", "status", "history")
            for scope in ("known", "other")
        ]
        assert {answer.status_code for answer in answers} <= {401, 403}
        assert len({answer.text for answer in answers}) == 1


def test_a_credential_for_a_scope_is_valid_in_it_and_below(sidecar: Sidecar) -> None:
    mine = bearer("a-token-of-team-a-only")
    assert ask(sidecar, "POST", "/v1/pause/team-a/x", {"reason": "ours"}, mine).status_code == 200
    assert ask(sidecar, "GET", "/v1/gate/team-a/x?wait=0", None, mine).status_code == 503
    assert ask(sidecar, "POST", "/v1/resume/team-a", {}, mine).status_code == 200
    for method, path, body in (
        ("POST", "/v1/pause/team-ab", {"reason": "theirs"}),
        ("POST", "/v1/pause", {"reason": "theirs"}),
        ("PUT", "/v1/state/team-b", {"state": "distressed"}),
        ("GET", "/v1/gate", None),
        ("GET", "/v1/status?below=true", None),
        ("GET", "/metrics", None),
        ("POST", "/-/reload", None),
        ("GET", "/v1/gate/team-a/../team-b", None),
        ("GET", "/v1/gate/team-a%2F..%2Fteam-b", None),
    ):
        # The library requests would normalise the dots.
        request = requests.Request(method, sidecar.url, json=body, headers=mine).prepare()
        request.url = sidecar.url + path
        with requests.Session() as session:
            status = session.send(request, timeout=30).status_code
        # A path with such dots is not a scope.
        assert status == (400 if ".." in path else 403), path


def alert(fingerprint: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    one = {
        "status": status,
        "labels": labels,
        "annotations": {},
        "startsAt": "2026-11-23T10:00:00Z",
        "endsAt": "2026-11-23T10:05:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }
    return {**NOTIFICATION, "alerts": [one]}


def test_a_webhook_credential_for_a_scope_changes_only_that_scope(sidecar: Sidecar) -> None:
    mine, all_ = bearer("a-token-of-team-a-only"), bearer(TOKENS["webhook"])
    viewer = bearer(TOKENS["viewer"])

    def outcome(headers: dict[str, str], message: object) -> str:
        counts = ask(sidecar, "POST", "/v1/alerts", message, headers).json()["alerts"]
        return next(name for name, count in counts.items() if count)

    own = {"alertname": "Own", "severity": "critical", "wellbeing_scope": "team-a/m"}
    other = {"alertname": "Other", "severity": "critical", "wellbeing_scope": "team-b"}
    assert outcome(all_, alert(fingerprint_of(other), **other)) == "applied"
    # Refused by the alert's labels, and also with another alert's fingerprint and labels of their own scope.
    assert outcome(mine, alert(fingerprint_of(other), status="resolved", **other)) == "ignored"
    assert outcome(mine, alert(fingerprint_of(other), status="resolved", **own)) == "ignored"
    assert outcome(mine, alert(fingerprint_of(other), **own)) == "ignored"
    assert ask(sidecar, "GET", "/v1/status/team-b", None, viewer).json()["gate"] == "closed"
    assert outcome(mine, alert(fingerprint_of(own), **own)) == "applied"
    assert ask(sidecar, "GET", "/v1/status/team-a/m", None, viewer).json()["gate"] == "closed"
    assert outcome(mine, alert(fingerprint_of(own), status="resolved", **own)) == "applied"
    assert outcome(all_, alert(fingerprint_of(other), status="resolved", **other)) == "applied"


def test_history_and_log_name_the_actor(sidecar: Sidecar) -> None:
    ask(sidecar, "POST", "/v1/pause/acted", {"reason": "why not"}, bearer(TOKENS["operator"]))
    ask(sidecar, "PUT", "/v1/state/acted", {"state": "cautious"}, bearer(TOKENS["agent"]))
    entries = ask(sidecar, "GET", "/v1/history/acted", None, bearer(TOKENS["viewer"])).json()["entries"]
    assert [(entry["kind"], entry["source"], entry["actor"]) for entry in entries] == [
        ("intervention", "agent:default", "a-agent"),
        ("pause", "a-operator", "a-operator"),
    ]
    assert sidecar.logs("pause")[-1]["actor"] == "a-operator"
    assert not any(token in line for line in sidecar.lines for token in TOKENS.values())


def test_a_checked_password_is_cached(sidecar: Sidecar) -> None:
    url, body = f"{sidecar.url}/v1/alerts", {**NOTIFICATION, "alerts": []}
    for _ in range(3):
        assert requests.post(url, json=body, auth=("sidecar", "open sesame"), timeout=30).status_code == 200
    for wrong in (("sidecar", "open"), ("nobody", "open sesame"), ("sidecar", ""), ("sidecar", "x" * 100)):
        assert requests.post(url, json=body, auth=wrong, timeout=30).status_code == 401
    assert (
        requests.get(f"{sidecar.url}/metrics", auth=("sidecar", "open sesame"), timeout=30).status_code == 403
    )
    assert sidecar_metric(sidecar, 'wellbeing_webhook_notifications_total{result="unauthorized"}') >= 4


def sidecar_metric(sidecar: Sidecar, series: str) -> float:
    text = ask(sidecar, "GET", "/metrics", None, bearer(TOKENS["viewer"])).text
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(series))


def test_a_rotated_token_is_accepted_on_open_connections(sidecar: Sidecar, folder: Path) -> None:
    with requests.Session() as session:
        session.headers.update(bearer(TOKENS["worker"]))
        assert session.get(f"{sidecar.url}/v1/gate", timeout=30).status_code == 200
        (folder / "worker").write_text("the-worker-has-another-one")
        url = f"{sidecar.url}/v1/gate"
        eventually_equal(lambda: session.get(url, timeout=30).status_code, 401, "the old one is wrong")
        new = bearer("the-worker-has-another-one")
        assert session.get(url, headers=new, timeout=30).status_code == 200
        # A token file that is missing for a moment, or invalid, does not end anyone's access.
        (folder / "worker").write_text("short")
        sidecar.wait_log("credentials_unreadable")
        assert session.get(url, headers=new, timeout=30).status_code == 200
        (folder / "worker").write_text(TOKENS["worker"])
        eventually_equal(lambda: session.get(url, timeout=30).status_code, 200, "it is read again")


def test_a_peer_that_guesses_is_throttled_and_one_with_a_valid_token_is_not() -> None:
    credentials = [
        {"name": "w", "roles": ["worker"], "token_env": "W"},
        {"name": "p", "roles": ["worker"], "username": "u", "password_bcrypt": BCRYPT},
    ]
    config = {"auth": {"credentials": credentials}, "limits": {"max_auth_failures_per_minute": 3}}
    with Sidecar(config, env={"W": "the-token-of-the-worker"}) as own:
        url = f"{own.url}/v1/gate"
        statuses = [
            own.session.get(url, headers=bearer(f"guess-{n}"), timeout=30).status_code for n in range(5)
        ]
        assert statuses == [401, 401, 401, 429, 429]
        answer = own.session.get(url, auth=("u", "open sesame"), timeout=30)
        assert answer.status_code == 429, "bcrypt is not run for who guesses"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert own.session.get(url, headers=bearer("the-token-of-the-worker"), timeout=30).status_code == 200


def test_a_listener_inside_the_pod_needs_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    config = {
        "listen": [
            {"address": "127.0.0.1:0"},
            {"address": "127.0.0.1:0", "roles": ["worker"]},
            {"address": f"unix:{path}", "roles": ["worker", "agent"], "mode": "0600"},
        ],
        "auth": {"credentials": [{"name": "am", "roles": ["webhook"], "token_env": "AM"}]},
    }
    with Sidecar(config, env={"AM": "the-token-of-alertmanager"}, listen_flag=False) as own:
        guarded, workers, unix = own.logs("listening")[0]["addresses"]
        assert requests.get(f"http://{guarded}/v1/gate", timeout=30).status_code == 401
        assert requests.get(f"http://{workers}/v1/gate", timeout=30).status_code == 200
        # The client's credential that a proxy passes on is ignored, and does not reduce access.
        passed_on = bearer("sk-of-somebody-elses-api")
        assert requests.get(f"http://{workers}/v1/gate", headers=passed_on, timeout=30).status_code == 200
        assert (
            requests.post(f"http://{workers}/v1/pause", json={"reason": "x"}, timeout=30).status_code == 401
        )
        assert unix == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("listen", "auth", "error"),
    [
        ("0.0.0.0:0", {}, "can be reached from other machines"),
        (":0", {}, "can be reached from other machines"),
        ("[::]:0", {}, "can be reached from other machines"),
        ({"address": "0.0.0.0:0", "roles": ["worker"]}, {}, "may do worker there without a credential"),
        ({"address": "127.0.0.1:0", "roles": ["king"]}, {}, "worker, agent, webhook, viewer, operator"),
        ({"address": "127.0.0.1:0", "tls": True}, {}, "tls needs tls.cert_file"),
        (
            "127.0.0.1:0",
            {"credentials": [{"name": "a", "roles": ["worker"]}]},
            "needs exactly one of token_file",
        ),
        (
            "127.0.0.1:0",
            {"credentials": [{"name": "a", "roles": ["worker"], "token_env": "A"}]},
            "auth: a: the token in $A is shorter than 16 characters",
        ),
        (
            "127.0.0.1:0",
            {"credentials": [{"name": "a", "roles": ["worker"], "token_file": "/nothing"}]},
            "auth: a: token_file /nothing: No such file",
        ),
        (
            "127.0.0.1:0",
            {"credentials": [{"name": "a", "roles": ["worker"], "username": "a", "password_bcrypt": "x"}]},
            "must be a bcrypt hash",
        ),
    ],
)
def test_an_unsafe_config_does_not_start(listen: object, auth: dict[str, Any], error: str) -> None:
    with pytest.raises(AssertionError, match=error.replace("$", r"\$").replace(".", r"\.")):
        Sidecar({"listen": [listen], "auth": auth}, listen_flag=False).__enter__()


def test_an_explicitly_insecure_config_starts() -> None:
    config = {"listen": "0.0.0.0:0", "auth": {"insecure": True}}
    with Sidecar(config, listen_flag=False) as own:
        port = own.where[1]
        assert requests.get(f"http://127.0.0.1:{port}/v1/status", timeout=30).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://rebound.example:80", "Host": "rebound.example:80"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:1", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_a_page_of_another_site_changes_nothing(headers: dict[str, str], status: int) -> None:
    with Sidecar() as own:
        answer = own.session.post(f"{own.url}/v1/pause", data=b'{"reason": "x"}', headers=headers, timeout=30)
        assert answer.status_code == status, answer.text
        assert own.status()["gate"] == ("closed" if status == 200 else "open")
