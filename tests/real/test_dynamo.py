"""NVIDIA Dynamo's real frontend and worker runtime: series, routes, and a pause during a stream.

The engine in the worker is dynamo_worker.py, because the real engines need a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from harness.ports import free_port
from harness.process import eventually
from harness.proxies import Proxy
from harness.real import PARTS, REAL, RealServer, assert_rules_find, await_answer, needs
from harness.sidecar import Sidecar

pytestmark = needs("dynamo", "dynamo/ready-1.6.1")
ROUTES = Path(__file__).parents[1] / "fixtures" / "routes" / "dynamo.json"
PAUSED = '{engine="dynamo",scope="m"}'


@dataclass(frozen=True)
class Parts:
    """The running parts: the sidecar, and the addresses of the frontend and of nginx in front of it."""

    sidecar: Sidecar
    frontend: str
    gated: str


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("dynamo")
    (folder / "discovery").mkdir()
    # Dynamo reads the port of its status server as a 16-bit integer with a sign.
    front, system = free_port(), free_port(below=32_768)
    python = REAL / "dynamo" / "bin" / "python"
    environ = {
        "HF_HUB_OFFLINE": "1",
        "DYN_FILE_KV": str(folder / "discovery"),
        "DYN_DISCOVERY_BACKEND": "file",
        "DYN_REQUEST_PLANE": "tcp",
        "DYN_EVENT_PLANE": "zmq",
        "DYN_TCP_RPC_HOST": "127.0.0.1",
        "DYN_LOG": "error",
    }
    engine = {
        "scope": "m",
        "name": "dynamo",
        "kind": "dynamo",
        "url": f"http://127.0.0.1:{system}",
        "check_secs": 1,
    }
    frontend = [python, "-m", "dynamo.frontend", "--http-host", "127.0.0.1", "--http-port", front]
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{front}"
        stack.enter_context(
            RealServer([*frontend, "--enable-anthropic-api"], f"{url}/health", folder, **environ)
        )
        worker = [python, PARTS / "dynamo_worker.py", REAL / "tokenizer"]
        at = {"DYN_SYSTEM_PORT": str(system), "DYN_SYSTEM_HOST": "127.0.0.1"}
        stack.enter_context(RealServer(worker, f"http://127.0.0.1:{system}/metrics", folder, **environ, **at))
        sidecar = stack.enter_context(Sidecar({"defaults": {"max_pause_secs": 0}, "engines": [engine]}))
        eventually(lambda: requests.get(f"{url}/v1/models", timeout=5).json()["data"], "the worker is known")
        proxy = Proxy("nginx", folder / "nginx", (free_port(), sidecar.where[1], front))
        stack.enter_context(proxy)
        await_answer(proxy.url)
        yield Parts(sidecar, url, proxy.url)


def chat(url: str, tokens: int, *, stream: bool = False) -> requests.Response:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "the fox"}],
        "max_tokens": tokens,
        "stream": stream,
    }
    return requests.post(f"{url}/v1/chat/completions", json=body, timeout=120, stream=stream)


def test_a_scrape_has_the_series_and_labels_of_the_rules(parts: Parts) -> None:
    assert chat(parts.frontend, 3).json()["usage"]["completion_tokens"] == 3
    assert_rules_find(
        "dynamo",
        r"dynamo_frontend_\w+",
        lambda: requests.get(f"{parts.frontend}/metrics", timeout=30).text,
        {"model"},
    )


def test_the_fixture_lists_every_route_of_the_server(parts: Parts) -> None:
    paths = requests.get(f"{parts.frontend}/openapi.json", timeout=30).json()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert served <= set(json.loads(ROUTES.read_text())["routes"]), (
        "refresh tests/fixtures/routes/dynamo.json"
    )


def test_the_driver_keeps_a_running_stream_and_an_arriving_request(parts: Parts) -> None:
    with chat(parts.frontend, 200, stream=True) as stream, ThreadPoolExecutor(1) as pool:
        chunks = stream.iter_lines()
        next(chunks)
        parts.sidecar.pause("m", "look at it")
        parts.sidecar.wait_for_metric(f"wellbeing_engine_paused{PAUSED}", 1)
        second = pool.submit(chat, parts.frontend, 2)

        def waits() -> bool:
            text = requests.get(f"{parts.frontend}/metrics", timeout=30).text
            return 'dynamo_frontend_queued_requests{model="m"} 1' in text

        eventually(waits, "the second request waits for its first token")
        assert not second.done()
        parts.sidecar.resume("m")
        rest = [json.loads(line[6:]) for line in chunks if line.startswith(b"data: {")]
        assert any(one["choices"][0]["finish_reason"] == "length" for one in rest if one["choices"])
        assert second.result().json()["usage"]["completion_tokens"] == 2


def test_a_closed_gate_parks_a_request_and_a_resume_wakes_it(parts: Parts) -> None:
    scope = "nginx/llama"
    parts.sidecar.pause(scope, "too hot")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(chat, parts.gated, 2)
        parts.sidecar.wait_for_waiters(scope, 1)
        assert requests.get(f"{parts.gated}/v1/models", timeout=30).ok
        parts.sidecar.resume(scope)
        assert waiting.result().json()["usage"]["completion_tokens"] == 2
