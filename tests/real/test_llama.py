"""The real llama-server: series, a gate that closes during a stream, and the closed loop under a real
overload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import requests

from demo.environment import shipped_rules
from harness.monitoring import Alertmanager, Prometheus
from harness.process import eventually_equal, free_port
from harness.proxies import Proxy
from harness.real import REAL, RealServer, assert_rules_find, await_answer, needs
from harness.sidecar import Sidecar

pytestmark = needs("llama", "llama-server")
FASTER = 60.0
"""The times of the shipped rules are divided by it."""
SCOPE = "nginx/llama"
CLIENTS, TOKENS = 24, 12
"""More clients than the rules allow to wait, each with a short answer: one core writes a few tokens a second."""


@dataclass(frozen=True)
class Parts:
    """The running parts: the sidecar, Prometheus, and the addresses of llama-server and of nginx in front of
    it."""

    sidecar: Sidecar
    prometheus: Prometheus
    engine: str
    gated: str


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("llama")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        REAL / "llama-server",
        "-m",
        REAL / "model.gguf",
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--metrics",
    ]
    # One request at a time, on one thread: on a busy machine, threads that wait for each other make no
    # progress.
    command += ["--alias", "m", "-np", 1, "-c", 2048, "-t", 1, "-tb", 1]
    policy = {"pause_on_concerned": True, "max_pause_secs": 600, "wait_timeout_secs": 600}
    with ExitStack() as stack:
        stack.enter_context(RealServer(command, f"{url}/health", folder))
        sidecar = stack.enter_context(Sidecar({"defaults": policy}))
        alertmanager = stack.enter_context(Alertmanager(f"{sidecar.url}/v1/alerts"))
        # Without a pod, the scope of its alerts is its namespace and its job.
        # A busy llama-server answers one scrape between two tokens, which may take more than a second.
        scrape = {
            "job_name": "llama",
            "scrape_interval": "2s",
            "scrape_timeout": "2s",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "nginx"}}],
        }
        prometheus = stack.enter_context(
            Prometheus(
                {"sidecar": sidecar.address},
                shipped_rules(FASTER, "llamacpp"),
                alertmanager.address,
                scrape_configs=[scrape],
            )
        )
        proxy = stack.enter_context(Proxy("nginx", folder / "nginx", (free_port(), sidecar.where[1], port)))
        await_answer(proxy.url)
        yield Parts(sidecar, prometheus, url, proxy.url)


def chat(url: str, tokens: int, *, stream: bool = False) -> requests.Response:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": stream,
    }
    return requests.post(f"{url}/v1/chat/completions", json=body, timeout=600, stream=stream)


def written(answer: requests.Response) -> int:
    assert answer.status_code == 200, answer.text
    return answer.json()["usage"]["completion_tokens"]


def answered(url: str, tokens: int) -> requests.Response:
    """The response to a client that retries after a wait at the gate has timed out."""
    while (answer := chat(url, tokens)).status_code == 503:
        assert answer.headers["Retry-After"]
    return answer


def test_a_scrape_has_the_series_of_the_rules(parts: Parts) -> None:
    assert written(chat(parts.engine, 2)) == 2
    assert_rules_find(
        "llamacpp", r"llamacpp:\w+", lambda: requests.get(f"{parts.engine}/metrics", timeout=30).text, set()
    )


def test_an_overload_closes_the_gate_and_its_end_opens_it(parts: Parts) -> None:
    # This test runs before the one that pauses: after a pause, the rules are masked while the queue falls.
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        crowd = [pool.submit(chat, parts.gated, TOKENS) for _ in range(CLIENTS)]
        eventually_equal(
            lambda: parts.sidecar.status(SCOPE)["gate"], "closed", "the overload closed the gate", 120
        )
        status = parts.sidecar.status(SCOPE)
        assert status["state"] == "concerned"
        assert [one["alertname"] for one in status["signals"]] == ["LlamacppQueueGrows"]
        late = pool.submit(answered, parts.gated, 2)
        parts.sidecar.wait_for_waiters(SCOPE, 1)
        eventually_equal(lambda: parts.sidecar.status(SCOPE)["gate"], "open", "it opened by itself", 300)
        assert written(late.result()) == 2
        assert [written(one.result()) for one in crowd] == [TOKENS] * CLIENTS
    assert parts.sidecar.status(SCOPE)["state"] == "healthy"


def test_a_closed_gate_parks_a_request_and_keeps_a_running_stream(parts: Parts) -> None:
    with chat(parts.gated, 24, stream=True) as stream, ThreadPoolExecutor(1) as pool:
        chunks = stream.iter_lines()
        next(chunks)
        parts.sidecar.pause(SCOPE, "look at it")
        second = pool.submit(chat, parts.gated, 2)
        parts.sidecar.wait_for_waiters(SCOPE, 1)
        rest = [json.loads(line[6:]) for line in chunks if line.startswith(b"data: {")]
        assert rest[-1]["choices"][0]["finish_reason"] == "length", "it ended while the gate was closed"
        assert not second.done()
        assert requests.get(f"{parts.gated}/health", timeout=30).ok
        parts.sidecar.resume(SCOPE)
        assert written(second.result()) == 2
