"""The proxies of examples/proxies in front of a sidecar that requires a credential, each changed as the guide says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from harness.ports import free_port
from harness.process import eventually
from harness.proxies import KINDS, ROOT, Proxy
from harness.sidecar import Sidecar

OPERATOR = "the-token-of-an-operator"
TOKEN = "the-token-of-a-proxy"
CLIENT = "Bearer sk-of-a-client"
CREDENTIALS = [
    {
        "name": "operator",
        "roles": ["operator", "viewer"],
        "token_sha256": hashlib.sha256(OPERATOR.encode()).hexdigest(),
    },
    {"name": "proxy", "roles": ["worker"], "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest()},
    {
        "name": "traefik",
        "roles": ["worker"],
        "username": "proxy",
        # Of the password "pw".
        "password_bcrypt": "$2b$10$SOBSqpmLyijDJt0AK3/E2O/9666yCE/toLQXTXX1NzNLTxfZDpY9i",
    },
]
# A text in the file of each proxy, and the text that is inserted before it.
CHANGES = {
    "nginx": ('proxy_set_header Content-Length "";', 'proxy_set_header Authorization "Bearer TOKEN";'),
    "haproxy": ("timeout = TIMEOUT_MS", 'headers = {authorization = {"Bearer TOKEN"}}, '),
    "envoy": (
        "path_prefix:",
        'authorization_request: {headers_to_add: [{key: authorization, value: "Bearer TOKEN"}]}',
    ),
    "traefik": ('address: "http://', "authRequestHeaders: [Accept]"),
    "caddy": ("uri /v1", 'header_up Authorization "Bearer TOKEN"'),
}


def change(name: str) -> tuple[str, str]:
    """The text in the files of a proxy, and its replacement."""
    before, added = CHANGES[name]
    indents = {"envoy": "\n" + 24 * " ", "traefik": "\n" + 8 * " ", "caddy": "\n\t\t"}
    after = added.replace("TOKEN", TOKEN) + indents.get(name, "") + before
    return before, after + "proxy:pw@" if name == "traefik" else after


@contextmanager
def engine(seen: list[str | None]) -> Iterator[int]:
    """An engine that records the ``Authorization`` of each request except health checks. Yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != "/health":
                seen.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("name", KINDS)
def test_a_proxy_sends_its_own_credential_to_the_sidecar_and_the_clients_to_the_engine(
    name: str, tmp_path: Path
) -> None:
    seen: list[str | None] = []

    def ask() -> int:
        url = f"{proxy.url}/v1/responses/1"
        return requests.get(url, headers={"Authorization": CLIENT}, timeout=60).status_code

    with ExitStack() as stack:
        config = {"auth": {"credentials": CREDENTIALS}, "defaults": {"max_pause_secs": 0}}
        sidecar = stack.enter_context(Sidecar(config))
        sidecar.session.headers["Authorization"] = f"Bearer {OPERATOR}"
        assert requests.get(f"{sidecar.url}/v1/gate/team-a", timeout=30).status_code == 401
        ports = free_port(), sidecar.where[1], stack.enter_context(engine(seen))
        proxy = stack.enter_context(Proxy(name, tmp_path / name, ports, change(name)))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        eventually(lambda: is_up(proxy.url), f"{name} is up")
        eventually(lambda: ask() == 200, "the open gate lets requests pass")
        sidecar.pause(proxy.scope)
        waiting = pool.submit(ask)
        sidecar.wait_for_waiters(proxy.scope, 1)
        sidecar.resume(proxy.scope)
        assert waiting.result() == 200
    assert set(seen) == {CLIENT}


@pytest.mark.parametrize("name", KINDS)
def test_the_guide_has_each_change(name: str) -> None:
    guide = (ROOT / "docs" / "how-to" / "proxies.md").read_text()
    assert f"`{CHANGES[name][1].replace('TOKEN', '…').strip(', ')}`" in guide
