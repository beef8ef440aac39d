"""The real llama-server: series, a gate that closes during a stream, and the closed loop under a real
overload, by a pause and by a restriction."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from demo.environment import shipped_rules
from harness.monitoring import Alertmanager, Prometheus
from harness.ports import free_port
from harness.process import eventually
from harness.proxies import Proxy
from harness.real import REAL, RealServer, assert_rules_find, await_answer, needs
from harness.sidecar import Sidecar

pytestmark = needs("llama", "llama-server")
FASTER = 60.0
"""The times of the shipped rules are divided by it."""
SCOPE = "nginx/llama"
CLIENTS, TOKENS = 24, 12
"""More clients than the rules allow to wait, each with short requests one after another: the overload lasts however fast the engine is."""
OVERLOAD_SECS = 300.0
SHARE = 0.85
"""What the restriction admits, as a share of what the engine can answer."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of llama-server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [REAL / "llama-server", "-m", REAL / "model.gguf", "--host", "127.0.0.1", "--port", port]
    # One request at a time, on one thread: on a busy machine, threads that wait for each other make no
    # progress.
    command += ["--metrics", "--alias", "m", "-np", 1, "-c", 2048, "-t", 1, "-tb", 1]
    with RealServer(command, f"{url}/health", tmp_path_factory.mktemp("llama")):
        yield url


@dataclass(frozen=True)
class Parts:
    """The running sidecar, and the address of nginx in front of llama-server."""

    sidecar: Sidecar
    gated: str


@contextmanager
def gate_before(engine: str, folder: Path, **policy: Any) -> Iterator[Parts]:
    """A sidecar with its own Prometheus and Alertmanager, and nginx as its gate before llama-server."""
    address = engine.removeprefix("http://")
    # Without a pod, the scope of the engine's alerts is its namespace and its job.
    # A busy llama-server answers one scrape between two tokens, which may take more than a second.
    scrape = {
        "job_name": "llama",
        "scrape_interval": "2s",
        "scrape_timeout": "2s",
        "static_configs": [{"targets": [address], "labels": {"namespace": "nginx"}}],
    }
    defaults = {"max_pause_secs": 600, "wait_timeout_secs": 600, **policy}
    with (
        Sidecar({"defaults": defaults}) as sidecar,
        Alertmanager(f"{sidecar.url}/v1/alerts") as alertmanager,
        Prometheus(
            {"sidecar": sidecar.address},
            shipped_rules(FASTER, "llamacpp"),
            alertmanager.address,
            scrape_configs=[scrape],
        ),
        Proxy(
            "nginx", folder / "nginx", (free_port(), sidecar.where[1], int(address.rpartition(":")[2]))
        ) as proxy,
    ):
        await_answer(proxy.url)
        yield Parts(sidecar, proxy.url)


@pytest.fixture(scope="module")
def parts(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with gate_before(engine, tmp_path_factory.mktemp("pause"), pause_on_concerned=True) as parts:
        yield parts


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
    """The first response that is not 503. The client retries when its wait at the gate times out."""
    while (answer := chat(url, tokens)).status_code == 503:
        assert answer.headers["Retry-After"]
    return answer


@dataclass
class Crowd:
    """Clients that overload the engine: each sends its next request as soon as it gets a response.

    Attributes:
        over: set to stop the clients.
        answers: when each complete answer came, and how many tokens it had.
    """

    url: str
    over: Event = field(default_factory=Event)
    answers: list[tuple[float, int]] = field(default_factory=list)

    def client(self) -> None:
        while not self.over.is_set():
            tokens = written(answered(self.url, TOKENS))
            self.answers.append((time.monotonic(), tokens))

    def rate(self, begin: float, end: float) -> float:
        """Answers per second between two moments."""
        return sum(begin <= moment < end for moment, _ in self.answers) / (end - begin)


@contextmanager
def crowd_at(url: str) -> Iterator[Crowd]:
    """An overload while the block runs. At its end, wait until each client has its answers."""
    crowd = Crowd(url)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(crowd.client) for _ in range(CLIENTS)]
        try:
            yield crowd
        finally:
            crowd.over.set()
    for one in clients:
        one.result()
    assert {tokens for _, tokens in crowd.answers} == {TOKENS}


def test_a_scrape_has_the_series_of_the_rules(engine: str) -> None:
    assert written(chat(engine, 2)) == 2
    assert_rules_find(
        "llamacpp", r"llamacpp:\w+", lambda: requests.get(f"{engine}/metrics", timeout=30).text, set()
    )


def test_an_overload_closes_the_gate_and_its_end_opens_it(parts: Parts) -> None:
    # This test runs before the test that pauses: after a pause, the rules are masked while the queue falls.
    with ThreadPoolExecutor(1) as pool, crowd_at(parts.gated) as crowd:
        parts.sidecar.wait_for_gate(SCOPE, "closed", OVERLOAD_SECS)
        status = parts.sidecar.status(SCOPE)
        assert status["state"] == "concerned"
        assert [one["alertname"] for one in status["signals"]] == ["LlamacppQueueGrows"]
        # Clients whose requests wait at the gate stop when they get their answers.
        crowd.over.set()
        blocked = parts.sidecar.counters(SCOPE)["requests_blocked"]
        late = pool.submit(answered, parts.gated, 2)
        eventually(lambda: parts.sidecar.counters(SCOPE)["requests_blocked"] > blocked, "the request waits")
        assert not late.done()
        parts.sidecar.wait_for_gate(SCOPE, "open", OVERLOAD_SECS)
        assert written(late.result()) == 2
    assert parts.sidecar.status(SCOPE)["state"] == "healthy"


def test_a_closed_gate_parks_a_request_and_keeps_a_running_stream(parts: Parts) -> None:
    with chat(parts.gated, 24, stream=True) as stream, ThreadPoolExecutor(1) as pool:
        chunks = stream.iter_lines()
        next(chunks)
        parts.sidecar.pause(SCOPE, "look at it")
        second = pool.submit(chat, parts.gated, 2)
        parts.sidecar.wait_for_waiters(SCOPE, 1)
        rest = [json.loads(line[6:]) for line in chunks if line.startswith(b"data: {")]
        assert rest[-1]["choices"][0]["finish_reason"] == "length", (
            "the stream ended while the gate was closed"
        )
        assert not second.done()
        assert requests.get(f"{parts.gated}/health", timeout=30).ok
        parts.sidecar.resume(SCOPE)
        assert written(second.result()) == 2


def test_a_restriction_answers_an_overload_without_a_pause_and_its_end_lifts_it(
    engine: str, tmp_path: Path
) -> None:
    with crowd_at(engine) as crowd:
        begin = time.monotonic()
        eventually(lambda: len(crowd.answers) >= 2 * CLIENTS, "the engine is full", OVERLOAD_SECS)
        able = crowd.rate(begin, time.monotonic())
    with gate_before(engine, tmp_path, restrict={"concerned": SHARE * able}) as parts:

        def gate() -> str:
            return parts.sidecar.status(SCOPE)["gate"]

        with crowd_at(parts.gated) as crowd:
            parts.sidecar.wait_for_gate(SCOPE, "restricted", OVERLOAD_SECS)
            begin, before = time.monotonic(), len(crowd.answers)
            # If the engine has become faster, the queue may be short before the restriction ends.
            eventually(
                lambda: len(crowd.answers) >= before + 2 * CLIENTS or gate() == "open",
                "it answers while it is restricted",
                OVERLOAD_SECS,
            )
            crowd.over.set()
            goodput = crowd.rate(begin, time.monotonic())
            assert goodput > 0
        parts.sidecar.wait_for_gate(SCOPE, "open", OVERLOAD_SECS)
        assert parts.sidecar.counters(SCOPE)["pauses_total"] == 0
        entries = parts.sidecar.get(f"/v1/history/{SCOPE}?kind=restriction").json()["entries"]
        # Each restriction has ended. If the engine becomes faster while all clients still send requests, the
        # queue falls and grows again, and there is more than one restriction.
        assert entries, "the history has the restriction"
        assert len(entries) % 2 == 0, entries
    print(f"able to {able:.2f}/s; while restricted {goodput:.2f}/s: {goodput / able:.0%}")
