"""Revoked access ends within seconds, for every open connection."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import tls
from harness.process import eventually, eventually_equal
from harness.raw import Connection
from harness.sidecar import Sidecar

# The hash of the password "open sesame".
BCRYPT = "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"
BASIC = "Authorization: Basic c2lkZWNhcjpvcGVuIHNlc2FtZQ=="
OPERATOR = "the-token-of-the-operator"
WORKER = "the-token-of-the-worker"
HEALTHY = "/-/healthy"


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def config_of(folder: Path, **worker: Any) -> dict[str, Any]:
    one = {"name": "w", "roles": ["worker", "viewer"], "token_file": str(folder / "worker"), **worker}
    credentials = [
        {"name": "o", "roles": ["operator", "viewer"], "token_env": "OPERATOR"},
        {"name": "p", "roles": ["worker"], "username": "sidecar", "password_bcrypt": BCRYPT},
        one,
    ]
    return {"auth": {"credentials": credentials}, "defaults": {"max_pause_secs": 0}}


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    (tmp_path / "worker").write_text(WORKER)
    with Sidecar(config_of(tmp_path), env={"OPERATOR": OPERATOR}) as own:
        own.session.headers["Authorization"] = f"Bearer {OPERATOR}"
        yield own


class Parked:
    """A gate request and a watch on each path, and an event stream, all with one credential."""

    def __init__(self, sidecar: Sidecar, scope: str, credential: str) -> None:
        self.sidecar = sidecar
        self.scope = scope
        etag = sidecar.etag(scope)
        self.gates = [self._open(f"/v1/gate/{scope}", credential, asgi=asgi) for asgi in (False, True)]
        known = f"If-None-Match: {etag}"
        self.watches = [
            self._open(f"/v1/watch/{scope}?wait=300", credential, known, asgi=asgi) for asgi in (False, True)
        ]
        sidecar.wait_for_waiters(scope, 2)

    def _open(self, target: str, *headers: str, asgi: bool) -> Connection:
        connection = Connection(self.sidecar)
        if asgi:
            connection.get(HEALTHY)
            connection.receive()
        connection.get(target, *headers)
        return connection

    def statuses(self) -> list[int]:
        statuses = []
        for connection in (*self.gates, *self.watches):
            with connection:
                answer = connection.receive()
                statuses.append(answer.status)
                assert answer.headers["content-type"] == "application/problem+json"
        return statuses


def parked(sidecar: Sidecar, credential: str) -> Parked:
    sidecar.pause("a")
    # A watch requires the role worker, so the version is read from the status.
    sidecar.etag = lambda scope: f'"{sidecar.status(scope)["version"]:d}"'  # type: ignore[attr-defined]
    return Parked(sidecar, "a", credential)


def without(config: dict[str, Any], name: str) -> dict[str, Any]:
    config["auth"]["credentials"] = [one for one in config["auth"]["credentials"] if one["name"] != name]
    return config


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda folder: without(config_of(folder), "w"), 401),
        (lambda folder: config_of(folder, roles=["viewer"]), 403),
        (lambda folder: config_of(folder, scope="b"), 403),
        (lambda folder: config_of(folder, token_file=str(folder / "other")), 401),
    ],
    ids=["removed", "role", "scope", "token"],
)
def test_a_reload_refuses_waiting_requests_of_a_credential_that_lost_its_access(
    sidecar: Sidecar, tmp_path: Path, change: Any, status: int
) -> None:
    (tmp_path / "other").write_text("another-token-of-the-worker")
    with Connection(sidecar) as kept:
        kept.get("/v1/gate", bearer(WORKER))
        assert kept.receive().status == 200
        waits = parked(sidecar, bearer(WORKER))
        sidecar.configure(change(tmp_path))
        sidecar.ok_reload()
        assert waits.statuses() == [status] * 4
        kept.get("/v1/gate/a?wait=0", bearer(WORKER))
        assert kept.receive().status == status
    counters = sidecar.counters("a")
    assert (counters["requests_rejected"], counters["waiters"]) == (2, 0)


def test_a_reload_that_revokes_nothing_keeps_waiting_requests(sidecar: Sidecar, tmp_path: Path) -> None:
    with Connection(sidecar) as first:
        first.get("/v1/gate", BASIC)
        assert first.receive().status == 200
    by_password = parked(sidecar, BASIC)
    sidecar.configure(without(config_of(tmp_path), "w"))
    sidecar.ok_reload()
    assert sidecar.counters("a")["waiters"] == 2
    sidecar.resume("a")
    for connection in (*by_password.gates, *by_password.watches):
        with connection:
            assert connection.receive().status == 200


def test_a_changed_password_refuses_waiting_requests_of_the_old_password(
    sidecar: Sidecar, tmp_path: Path
) -> None:
    waits = parked(sidecar, BASIC)
    config = config_of(tmp_path)
    config["auth"]["credentials"][1]["password_bcrypt"] = BCRYPT[:-1] + "u"
    sidecar.configure(config)
    sidecar.ok_reload()
    assert waits.statuses() == [401] * 4


@pytest.mark.parametrize("content", ["another-token-of-the-worker", "short", None])
def test_a_changed_or_missing_token_file_refuses_waiting_requests(
    sidecar: Sidecar, tmp_path: Path, content: str | None
) -> None:
    waits = parked(sidecar, bearer(WORKER))
    if content is None:
        (tmp_path / "worker").unlink()
    else:
        (tmp_path / "worker").write_text(content)
    assert waits.statuses() == [401] * 4
    (tmp_path / "worker").write_text(WORKER)

    def admitted() -> bool:
        with Connection(sidecar) as connection:
            connection.get("/v1/gate", bearer(WORKER))
            return connection.receive().status == 200

    eventually(admitted, "the file is read again")


def test_an_event_stream_ends_with_its_credential(sidecar: Sidecar, tmp_path: Path) -> None:
    with Connection(sidecar) as stream, Connection(sidecar) as other:
        stream.get("/v1/events", bearer(WORKER))
        stream.receive()
        other.get("/v1/events", bearer(OPERATOR))
        other.receive()
        sidecar.configure(without(config_of(tmp_path), "w"))
        sidecar.ok_reload()
        ended = b""
        while not ended.endswith(b"0\r\n\r\n"):
            part = stream.sock.recv(65_536)
            assert part, "the response ends with the last chunk"
            ended += part
        sidecar.pause("a")
        seen = b""
        while b"event: change" not in seen:
            seen += other.sock.recv(65_536)
    assert not [line for line in sidecar.lines if "ASGI" in line]


def test_a_listener_that_lost_its_roles_refuses_its_waiting_requests(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    config = without(config_of(tmp_path), "w")
    config["listen"] = [{"address": "127.0.0.1:0", "roles": ["worker"]}, {"address": f"unix:{path}"}]
    with Sidecar(config, env={"OPERATOR": OPERATOR}, listen_flag=False) as own:
        own.session.headers["Authorization"] = f"Bearer {OPERATOR}"
        waits = parked(own, "X: y")
        config["listen"][0]["roles"] = ["agent"]
        own.configure(config)
        own.ok_reload()
        assert waits.statuses() == [401] * 4
        assert own.counters("a")["requests_rejected"] == 2
        assert not own.logs("restart_needed")


# -- certificates ---------------------------------------------------------------------------------


def certified(folder: Path, client_auth: str) -> dict[str, Any]:
    return {
        "listen": [{"address": "127.0.0.1:0"}, {"address": f"unix:{folder / 'operator.sock'}"}],
        "tls": {
            "cert_file": str(folder / "cert.pem"),
            "key_file": str(folder / "key.pem"),
            "client_ca_file": str(folder / "ca.pem"),
            "client_auth": client_auth,
        },
        "auth": {
            "credentials": [
                {"name": "w", "roles": ["worker", "viewer"], "certificate": "worker"},
                {"name": "o", "roles": ["operator", "viewer"], "token_env": "OPERATOR"},
            ]
        },
        "defaults": {"max_pause_secs": 0},
    }


class TlsConnection(Connection):
    def __init__(self, sidecar: Sidecar, context: ssl.SSLContext) -> None:
        super().__init__(sidecar)
        self.sock = context.wrap_socket(self.sock, server_hostname="127.0.0.1")

    def closed(self) -> bool:
        try:
            return super().closed()
        except (ssl.SSLError, ConnectionError):
            return True


def client_of(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    context.load_cert_chain(folder / "worker.pem", folder / "worker.key")
    return context


class Certified:
    def __init__(self, folder: Path, own: Sidecar, config: dict[str, Any]) -> None:
        self.folder, self.own, self.config = folder, own, config
        self.connections: list[TlsConnection] = []

    def connect(self, target: str, *, asgi: bool = False) -> TlsConnection:
        connection = TlsConnection(self.own, client_of(self.folder))
        if asgi:
            connection.get(HEALTHY)
            assert connection.receive().status == 200
        connection.get(target)
        self.connections.append(connection)
        return connection

    def operate(self, method: str, path: str, body: object = None) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        with TlsConnection(self.own, client_of(self.folder)) as connection:
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{bearer(OPERATOR)}\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.send(head.encode() + data)
            answer = connection.receive()
            assert answer.status == 200, answer
            return answer.body

    def status(self, scope: str) -> Any:
        return json.loads(self.operate("GET", f"/v1/status/{scope}"))


@pytest.fixture(params=["request", "require"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Certified]:
    tls.certify(tmp_path)
    tls.certify_client(tmp_path, "worker")
    config = certified(tmp_path, request.param)
    with Sidecar(config, env={"OPERATOR": OPERATOR}, listen_flag=False) as own:
        made = Certified(tmp_path, own, config)
        yield made
        for connection in made.connections:
            connection.sock.close()


def test_a_certificate_without_its_credential_is_refused(world: Certified) -> None:
    world.operate("POST", "/v1/pause/a", {"reason": "a test"})
    waits = [world.connect("/v1/gate/a", asgi=asgi) for asgi in (False, True)]
    kept = world.connect("/v1/gate")
    assert kept.receive().status == 200
    eventually_equal(lambda: world.status("a")["counters"]["waiters"], 2, "two requests wait")
    del world.config["auth"]["credentials"][0]
    world.own.configure(world.config)
    world.operate("POST", "/-/reload")
    assert [one.receive().status for one in waits] == [401, 401]
    kept.get("/v1/gate")
    assert kept.receive().status == 401
    assert world.status("a")["counters"]["requests_rejected"] == 2


def test_connections_of_a_replaced_ca_are_closed(world: Certified) -> None:
    world.operate("POST", "/v1/pause/a", {"reason": "a test"})
    waits = [world.connect("/v1/gate/a", asgi=asgi) for asgi in (False, True)]
    stream = world.connect("/v1/events")
    stream.receive()
    idle = [world.connect("/v1/gate", asgi=asgi) for asgi in (False, True)]
    assert [one.receive().status for one in idle] == [200, 200]
    eventually_equal(lambda: world.status("a")["counters"]["waiters"], 2, "two requests wait")
    old = world.folder / "old"
    old.mkdir()
    for name in ("ca.pem", "ca.key", "worker.pem", "worker.key"):
        shutil.move(world.folder / name, old / name)
    tls.certify_client(world.folder, "worker")
    world.own.wait_log("certificate_reloaded")
    assert [one.receive().status for one in waits] == [401, 401]
    assert all(one.closed() for one in (*waits, *idle))
    while not stream.closed():
        stream._buffer = b""
    assert world.status("a")["counters"]["requests_rejected"] == 2
    fresh = world.connect("/v1/gate")
    assert fresh.receive().status == 200, "a certificate of the new CA is accepted"
    shutil.copy(old / "worker.pem", world.folder / "worker.pem")
    shutil.copy(old / "worker.key", world.folder / "worker.key")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        world.connect("/v1/gate").receive()


def test_an_additional_ca_closes_no_connection(world: Certified) -> None:
    world.operate("POST", "/v1/pause/a", {"reason": "a test"})
    waits = [world.connect("/v1/gate/a", asgi=asgi) for asgi in (False, True)]
    eventually_equal(lambda: world.status("a")["counters"]["waiters"], 2, "two requests wait")
    other = world.folder / "other"
    other.mkdir()
    tls.certify_client(other, "worker")
    both = (world.folder / "ca.pem").read_text() + (other / "ca.pem").read_text()
    (world.folder / "ca.pem").write_text(both)
    world.own.wait_log("certificate_reloaded")
    world.operate("POST", "/v1/resume/a", {})
    assert [one.receive().status for one in waits] == [200, 200]
