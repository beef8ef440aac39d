"""The real vLLM on the CPU: series, the middleware, and the driver during a stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.real import REAL, RealServer, assert_rules_find, needs
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
pytestmark = needs("vllm", "vllm/ready-0.32.0")
# This series needs a setting that is too slow for a CPU.
WITH_A_SETTING = ("vllm:corrupted_requests_total",)
SCOPE, SLEEP_AFTER_SECS = "m/engine", 3
NAMES = f'{{engine="vllm",scope="{SCOPE}"}}'
TOKENS = 1500
"""What the stream that runs has to write: long enough to be paused meanwhile."""


@pytest.fixture(scope="module")
def parts() -> Iterator[tuple[Sidecar, str]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    engine = {
        "scope": SCOPE,
        "kind": "vllm",
        "url": url,
        "name": "vllm",
        "check_secs": 1,
        "timeout_secs": 60,
        "sleep_after_secs": SLEEP_AFTER_SECS,
    }
    with Sidecar({"defaults": {"max_pause_secs": 0}, "engines": [engine]}) as sidecar:
        environ = {
            "PYTHONPATH": str(ROOT),
            "WELLBEING_URL": sidecar.url,
            "WELLBEING_SCOPE": "m",
            "WELLBEING_CLIENT_WAIT_SECS": "60",
            "VLLM_SERVER_DEV_MODE": "1",
            "VLLM_TARGET_DEVICE": "cpu",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "HF_HUB_OFFLINE": "1",
        }
        arguments = [
            "serve", REAL / "model", "--served-model-name", "m", "--port", port, "--host", "127.0.0.1",
            "--max-model-len", "2048", "--enforce-eager", "--dtype", "float32",
            "--middleware", "sidecar.client.asgi.GateMiddleware",
        ]  # fmt: skip
        vllm = REAL / "vllm" / "bin" / "vllm"
        with RealServer([vllm, *arguments], f"{url}/health", REAL, **environ):
            yield sidecar, url


def chat(url: str, tokens: int = 4, **more) -> requests.Response:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "the quick brown fox"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        **more,
    }
    return requests.post(f"{url}/v1/chat/completions", json=body, timeout=300, stream=bool(more))


def test_a_scrape_has_the_series_and_labels_of_the_rules(parts) -> None:
    _, url = parts
    assert chat(url).ok
    assert_rules_find(
        "vllm",
        r"vllm:\w+",
        lambda: requests.get(f"{url}/metrics", timeout=30).text,
        {"model_name", "engine"},
        *WITH_A_SETTING,
    )


def test_a_request_waits_at_the_middleware_and_is_woken(parts) -> None:
    sidecar, url = parts
    sidecar.pause("m", "too hot")
    with ThreadPoolExecutor(1) as pool:
        eventually_equal(lambda: sidecar.status("m")["gate"], "closed", "the gate is closed")
        waiting = pool.submit(chat, url)
        eventually(
            lambda: sidecar.counters("m")["requests_blocked"] >= 1, "the request waits in vLLM's process"
        )
        assert not waiting.done()
        assert requests.get(f"{url}/v1/models", timeout=30).ok
        sidecar.resume("m")
        assert waiting.result().json()["usage"]["completion_tokens"] == 4


def kept(url: str) -> float:
    """The number of running and waiting requests in the engine."""
    text = requests.get(f"{url}/metrics", timeout=30).text
    return sum(
        float(value)
        for value in re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)", text, re.MULTILINE)
    )


@pytest.mark.parametrize("asleep", [False, True], ids=["paused", "asleep"])
def test_the_driver_keeps_a_running_stream(parts, asleep: bool) -> None:
    # The CPU worker has no memory to free when it sleeps. Otherwise it behaves like the GPU worker.
    sidecar, url = parts
    with chat(url, tokens=TOKENS, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = stream.iter_lines()
        next(chunks)
        sidecar.pause(SCOPE, "look at it")
        sidecar.wait_for_metric(f"wellbeing_engine_paused{NAMES}", 1)
        if asleep:
            sidecar.wait_for_metric(f"wellbeing_engine_asleep{NAMES}", 1)
        assert requests.get(f"{url}/is_paused", timeout=30).json() == {"is_paused": True}
        assert requests.get(f"{url}/health", timeout=30).ok
        assert kept(url) == 1
        sidecar.resume(SCOPE)
        rest = [json.loads(line[6:]) for line in chunks if line.startswith(b"data: {")]
    assert rest[-1]["usage"]["completion_tokens"] == TOKENS
    assert any(one["choices"][0]["finish_reason"] == "length" for one in rest if one["choices"])
    eventually(
        lambda: not requests.get(f"{url}/is_paused", timeout=30).json()["is_paused"], "the engine runs again"
    )
