"""The proxies' configs of the docs, run as they stand, but for their ports."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
import requests

from harness.process import Process, eventually, free_port, program
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
SCOPE = "team-a/llama"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Proxied:
    """A sidecar, an ungated engine, and a proxy before it."""

    def __init__(self, stack: ExitStack, folder: Path, kind: str, *, wait: int = 30) -> None:
        self.sidecar = stack.enter_context(Sidecar({"defaults": {"max_pause_secs": 0}}, port=free_port()))
        engine, front = free_port(), free_port()
        command = [sys.executable, str(ROOT / "tests" / "servers" / "openai_asgi.py"), str(engine)]
        stack.enter_context(Running(command, folder))
        [config] = re.findall(
            rf"```{kind}\n(.*?)```", (ROOT / "docs" / "how-to" / "proxies.md").read_text(), re.DOTALL
        )
        for here, there in ((9477, self.sidecar.where[1]), (8000, engine), (8080, front)):
            config = re.sub(rf"\b{here}\b", str(there), config)
        (folder / "proxy.conf").write_text(config.replace("wait=30", f"wait={wait}"))
        start = {
            "nginx": [
                "nginx",
                "-p",
                str(folder),
                "-e",
                "stderr",
                "-c",
                str(folder / "proxy.conf"),
                "-g",
                f"daemon off; pid {folder}/pid;",
            ],
            "haproxy": ["haproxy", "-db", "-f", str(folder / "proxy.conf")],
        }[kind]
        stack.enter_context(Running([program(start[0]), *start[1:]], folder))
        self.url = f"http://127.0.0.1:{front}"
        eventually(lambda: self.ask("/health", "GET") == 200, "the proxy and the engine are up")

    def ask(self, path: str = "/v1/chat/completions", method: str = "POST") -> int:
        try:
            return self.full(path, method).status_code
        except requests.ConnectionError:
            return 0

    def full(self, path: str = "/v1/chat/completions", method: str = "POST") -> requests.Response:
        return requests.request(method, self.url + path, json=BODY, timeout=60)


class Running(Process):
    def __init__(self, command: list[str], folder: Path) -> None:
        super().__init__(command, folder)

    def __enter__(self) -> Self:
        return self


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_nginx_waits_with_its_clients(stack: ExitStack, tmp_path: Path) -> None:
    proxied = Proxied(stack, tmp_path, "nginx")
    sidecar = proxied.sidecar
    assert proxied.ask() == 200
    sidecar.pause(SCOPE)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(proxied.ask) for _ in range(8)]
        eventually(
            lambda: sidecar.counters()["waiters"] + sidecar.counters(SCOPE)["waiters"] == 8, "all wait"
        )
        assert proxied.ask("/v1/models", "GET") == 200, "what does not generate passes"
        sidecar.resume(SCOPE)
        assert [answer.result() for answer in answers] == [200] * 8
    assert sidecar.counters(SCOPE)["requests_waited"] == 8


def test_nginx_refuses_as_the_api_does_and_passes_without_a_sidecar(stack: ExitStack, tmp_path: Path) -> None:
    proxied = Proxied(stack, tmp_path, "nginx", wait=0)
    proxied.sidecar.pause(SCOPE)
    answer = proxied.full()
    assert answer.json()["error"]["code"] == "inference_paused"
    assert answer.headers["Retry-After"] == "10"
    proxied.sidecar.kill()
    eventually(lambda: proxied.ask() == 200, "without a sidecar all pass")


def test_haproxy_refuses_while_the_gate_is_closed(stack: ExitStack, tmp_path: Path) -> None:
    proxied = Proxied(stack, tmp_path, "haproxy")
    eventually(lambda: proxied.ask() == 200, "open")
    proxied.sidecar.pause(SCOPE)
    eventually(lambda: proxied.ask() == 503, "closed")
    answer = proxied.full()
    assert (answer.json()["error"]["code"], answer.headers["Retry-After"]) == ("inference_paused", "10")
    assert proxied.ask("/v1/models", "GET") == 200
    proxied.sidecar.resume(SCOPE)
    eventually(lambda: proxied.ask() == 200, "open again")
