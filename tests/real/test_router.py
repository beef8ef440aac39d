"""The real router of vLLM's production-stack, with the addresses of its engines given, before two real llama-servers: one behind a gate."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from harness.ports import free_port
from harness.process import eventually_equal
from harness.proxies import Proxy
from harness.real import REAL, RealServer, await_answer, needs
from harness.sidecar import Sidecar

pytestmark = [needs("router", "router/ready-vllm-stack-0.1.12"), needs("llama", "llama-server")]
SCOPE = "nginx/llama"
CHECK_SECS, CHECK_TIMEOUT_SECS = 1, 5
LONG = 40


@dataclass(frozen=True)
class Parts:
    """The sidecar, and the addresses of the gated engine, of the other engine, and of nginx before the first."""

    sidecar: Sidecar
    engine: str
    other: str
    gated: str
    folder: Path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("router")
    ports = free_port(), free_port()
    with ExitStack() as stack:
        for port in ports:
            command = [
                REAL / "llama-server",
                "-m",
                REAL / "model.gguf",
                "--host",
                "127.0.0.1",
                "--port",
                port,
            ]
            command += ["--metrics", "--alias", "m", "-np", 1, "-c", 2048, "-t", 1, "-tb", 1]
            stack.enter_context(RealServer(command, f"http://127.0.0.1:{port}/health", folder))
        sidecar = stack.enter_context(Sidecar({"defaults": {"max_pause_secs": 0}}))
        nginx = (free_port(), sidecar.where[1], ports[0])
        proxy = stack.enter_context(Proxy("nginx", folder / "nginx", nginx))
        await_answer(proxy.url)
        yield Parts(sidecar, *(f"http://127.0.0.1:{port}" for port in ports), proxy.url, folder)


def router(parts: Parts, *backends: str, check: bool) -> RealServer:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    names = ",".join("m" for _ in backends)
    command = [
        REAL / "router" / "bin" / "python",
        "-m",
        "vllm_router.app",
        "--host",
        "127.0.0.1",
        "--port",
        port,
    ]
    command += ["--service-discovery", "static", "--routing-logic", "roundrobin"]
    command += ["--static-backends", ",".join(backends), "--static-models", names]
    if check:
        command += [
            "--static-model-types",
            ",".join("chat" for _ in backends),
            "--static-backend-health-checks",
        ]
        command += ["--static-backend-health-check-interval", CHECK_SECS]
        command += ["--static-backend-health-check-timeout-seconds", CHECK_TIMEOUT_SECS]
    server = RealServer(
        command,
        f"{url}/health",
        parts.folder,
        PYTHONPATH=str(REAL / "router" / "src"),
        OTEL_SDK_DISABLED="true",
    )
    server.url = f"{url}/health"
    return server


def chat(server: RealServer, tokens: int = 2) -> requests.Response:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": tokens,
        "ignore_eos": True,
    }
    url = server.url.removesuffix("/health")
    return requests.post(f"{url}/v1/chat/completions", json=body, timeout=120)


def longest(engine: str) -> float:
    """The largest number of tokens of any request. A check of the router has few tokens, and a chat of ``LONG`` tokens has more."""
    text = requests.get(f"{engine}/metrics", timeout=30).text
    (line,) = [line for line in text.splitlines() if line.startswith("llamacpp:n_tokens_max ")]
    return float(line.split()[1])


def wait_for_engines(server: RealServer, count: int) -> None:
    """Wait until the router sends requests to this number of engines.

    A failed check is not enough: the router checks one engine after another, and replaces its list only after the last check
    (``StaticServiceDiscovery.check_model_health``). Until then it sends chats to the paused engine too, where they wait at the gate.
    """
    url = server.url.removesuffix("/health")
    eventually_equal(
        lambda: len(requests.get(f"{url}/engines", timeout=30).json()),
        count,
        "the engines that the router uses",
    )


def test_a_request_through_the_router_waits_at_the_gate_and_is_woken(parts: Parts) -> None:
    with router(parts, parts.gated, check=False) as server, ThreadPoolExecutor(1) as pool:
        assert chat(server).ok
        parts.sidecar.pause(SCOPE, "too hot")
        waiting = pool.submit(chat, server)
        parts.sidecar.wait_for_waiters(SCOPE, 1)
        parts.sidecar.resume(SCOPE)
        assert waiting.result().json()["usage"]["completion_tokens"] == 2


def test_with_health_checks_the_router_avoids_a_paused_engine_and_finds_it_again(parts: Parts) -> None:
    with router(parts, parts.gated, parts.other, check=True) as server:
        wait_for_engines(server, 2)
        parts.sidecar.pause(SCOPE, "too hot")
        wait_for_engines(server, 1)
        assert [chat(server, LONG).status_code for _ in range(6)] == [200] * 6
        assert longest(parts.engine) < LONG <= longest(parts.other)
        parts.sidecar.resume(SCOPE)
        wait_for_engines(server, 2)
        assert [chat(server, LONG).status_code for _ in range(2)] == [200] * 2
        assert longest(parts.engine) >= LONG


def test_with_all_engines_paused_the_router_refuses(parts: Parts) -> None:
    with router(parts, parts.gated, check=True) as server:
        wait_for_engines(server, 1)
        parts.sidecar.pause(SCOPE, "too hot")
        wait_for_engines(server, 0)
        assert [chat(server).status_code for _ in range(3)] == [503] * 3
        parts.sidecar.resume(SCOPE)
        wait_for_engines(server, 1)
        assert chat(server).ok
