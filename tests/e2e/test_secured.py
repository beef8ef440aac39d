"""A sidecar with TLS and each kind of credential, with a real Prometheus and Alertmanager as clients."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from harness.monitoring import Alertmanager, Prometheus
from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from harness.tls import certify, certify_client
from sidecar.client import Gate, InferencePaused

TOKENS = {"AM": "the-token-of-alertmanager", "PROM": "the-token-of-prometheus", "OP": "the-token-of-somebody"}
PASSWORD = "open sesame"
BCRYPT = "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"


class Secured:
    """A sidecar, and the credentials of its clients."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        certify(folder)
        for name in ("prometheus", "alertmanager", "worker", "stranger"):
            certify_client(folder, name)
        certify_client(folder, "late", days=-1)
        credentials: list[dict[str, Any]] = [
            {"name": "am-token", "roles": ["webhook"], "token_env": "AM"},
            {"name": "prom-token", "roles": ["viewer"], "token_env": "PROM"},
            {"name": "op", "roles": ["operator", "viewer", "worker"], "token_env": "OP"},
            {"name": "am-user", "roles": ["webhook"], "username": "am", "password_bcrypt": BCRYPT},
            {"name": "prom-user", "roles": ["viewer"], "username": "prom", "password_bcrypt": BCRYPT},
            {"name": "am-cert", "roles": ["webhook"], "certificate": "alertmanager"},
            {"name": "prom-cert", "roles": ["viewer"], "certificate": "prometheus"},
            {"name": "worker-cert", "roles": ["worker"], "certificate": "worker"},
            {"name": "late-cert", "roles": ["worker"], "certificate": "late"},
        ]
        config = {
            "tls": {
                "cert_file": str(folder / "cert.pem"),
                "key_file": str(folder / "key.pem"),
                "client_ca_file": str(folder / "ca.pem"),
            },
            "auth": {"credentials": credentials},
            "defaults": {"pause_on_distressed": True},
        }
        self.sidecar = Sidecar(config, env=TOKENS, port=port)

    def __enter__(self) -> Self:
        self.sidecar.__enter__()
        self.url = self.sidecar.url = self.sidecar.url.replace("http:", "https:")
        self.sidecar.session.verify = str(self.folder / "cert.pem")
        self.sidecar.session.trust_env = False
        self.sidecar.session.headers["Authorization"] = f"Bearer {TOKENS['OP']}"
        return self

    def __exit__(self, *exc: object) -> None:
        self.sidecar.__exit__(*exc)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(tmp_path_factory.mktemp("secured"), free_port()) as secured:
        yield secured


def http_config(secured: Secured, kind: str, who: str) -> dict[str, Any]:
    """The settings for ``http_config`` of Alertmanager and for Prometheus' scrape config."""
    tls = {"ca_file": str(secured.folder / "cert.pem")}
    short = {"alertmanager": "am", "prometheus": "prom"}[who]
    if kind == "bearer":
        credentials = {"type": "Bearer", "credentials": TOKENS[short.upper()]}
        return {"tls_config": tls, "authorization": credentials}
    if kind == "basic":
        return {"tls_config": tls, "basic_auth": {"username": short, "password": PASSWORD}}
    own = {"cert_file": str(secured.folder / f"{who}.pem"), "key_file": str(secured.folder / f"{who}.key")}
    return {"tls_config": {**tls, **own}}


@pytest.mark.parametrize("kind", ["bearer", "basic", "certificate"])
def test_alertmanager_pauses_and_prometheus_scrapes_over_tls(secured: Secured, kind: str) -> None:
    sidecar, scope = secured.sidecar, f"e2e-{kind}"
    labels = {"severity": "critical", "wellbeing_scope": scope}
    webhook = f"{secured.url}/v1/alerts"
    with Alertmanager(webhook, http_config=http_config(secured, kind, "alertmanager")) as alertmanager:
        alertmanager.fire("Bad", **labels)
        sidecar.wait_for_gate(scope, "closed")
        scraping = {"scheme": "https", **http_config(secured, kind, "prometheus")}
        targets = {"wellbeing": sidecar.address}
        with Prometheus(targets, [], alertmanager.address, scrape=scraping) as prometheus:
            eventually_equal(
                lambda: prometheus.value(f'wellbeing_paused{{scope="{scope}"}}'), 1, "the pause is scraped"
            )
        alertmanager.resolve("Bad", **labels)
        sidecar.wait_for_gate(scope, "open")
    entries = sidecar.get(f"/v1/history/{scope}").json()["entries"]
    actor = {"bearer": "am-token", "basic": "am-user", "certificate": "am-cert"}[kind]
    assert {entry["actor"] for entry in entries} == {actor}


def ask(secured: Secured, certificate: str | None) -> requests.Response:
    cert = certificate and (
        str(secured.folder / f"{certificate}.pem"),
        str(secured.folder / f"{certificate}.key"),
    )
    with requests.Session() as session:
        session.trust_env = False
        session.verify, session.cert = str(secured.folder / "cert.pem"), cert
        return session.get(f"{secured.url}/v1/gate?wait=0", timeout=30)


def test_a_client_certificate_identifies_its_owner(secured: Secured) -> None:
    assert ask(secured, "worker").status_code == 200
    assert ask(secured, "alertmanager").status_code == 403
    assert ask(secured, "stranger").status_code == 401
    assert ask(secured, None).status_code == 401
    with pytest.raises(requests.ConnectionError):
        ask(secured, "late")


def test_old_versions_of_tls_are_refused(secured: Secured) -> None:
    context = ssl.create_default_context(cafile=str(secured.folder / "cert.pem"))
    with pytest.warns(DeprecationWarning, match=r"TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(secured.sidecar.where) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname="localhost")


def test_a_worker_follows_the_gate_over_tls(secured: Secured) -> None:
    sidecar = secured.sidecar
    settings = {"ca_file": str(secured.folder / "cert.pem"), "token": TOKENS["OP"], "report_secs": 0.2}
    sidecar.pause("tls", "a test")
    with Gate(secured.url, scope="tls", **settings) as gate:
        eventually(lambda: not gate.is_open, "the worker sees the closed gate")
        with pytest.raises(InferencePaused, match="a test"):
            gate.wait(0)
        sidecar.resume("tls")
        gate.wait(30)


def test_new_connections_get_a_renewed_certificate_but_not_a_broken_one(tmp_path: Path) -> None:
    with Secured(tmp_path, 0) as secured:
        sidecar = secured.sidecar

        def serial() -> str:
            return ssl.get_server_certificate(sidecar.where)

        first = serial()
        sidecar.session.get(f"{secured.url}/v1/gate", timeout=30)
        certify(tmp_path)
        sidecar.wait_log("certificate_reloaded")
        second = serial()
        assert second != first
        assert sidecar.session.get(f"{secured.url}/v1/gate", timeout=30).ok, "the open connection still works"
        # The key does not match the certificate, as between the writes of the two files.
        (tmp_path / "key.pem").write_text((tmp_path / "worker.key").read_text())
        sidecar.wait_log("certificate_unusable")
        assert serial() == second
