"""Servers with the routes of inference servers behind the gate, used by the real `openai` client."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
import requests

from harness.lazy_module import LazyModule
from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / "tests" / "servers"
openai = LazyModule("openai")


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with Sidecar({"defaults": {"max_pause_secs": 0}}) as running:
        yield running


class Server(Process):
    """A gated server; the environment has the settings of its gate."""

    def __init__(self, command: list[str], port: int, **environ: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.clients: list[openai.OpenAI] = []
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{SERVERS}", **environ}
        super().__init__([sys.executable, *command], ROOT, env)

    def __enter__(self) -> Self:
        self.wait_ok(f"{self.url}/health")
        return self

    def client(self, **options) -> openai.OpenAI:
        settings = {"max_retries": 0, "timeout": 60, **options}
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", **settings)
        self.clients.append(client)
        return client

    def __exit__(self, *exc: object) -> None:
        for client in self.clients:
            client.close()
        super().__exit__(*exc)


def settings(sidecar: Sidecar, **more: str) -> dict[str, str]:
    return {"WELLBEING_URL": sidecar.url, "WELLBEING_CLIENT_REPORT_SECS": "0.2", **more}


@contextmanager
def asgi(sidecar: Sidecar, **environ: str) -> Iterator[Server]:
    port = free_port()
    command = [
        str(SERVERS / "openai_asgi.py"),
        str(port),
        "--middleware",
        "sidecar.client.asgi.GateMiddleware",
    ]
    with Server(command, port, **settings(sidecar, WELLBEING_CLIENT_PASS_PATHS="/go", **environ)) as server:
        yield server


@pytest.fixture(scope="module")
def server(sidecar: Sidecar) -> Iterator[Server]:
    with asgi(sidecar, WELLBEING_SCOPE="asgi", WELLBEING_CLIENT_WAIT_SECS="1") as server:
        yield server


def say(client: openai.OpenAI, text: str = "hello", **more):
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)


def pause(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope, "it repeats itself")


def refused(call) -> bool:
    try:
        call()
    except (openai.APIStatusError, AssertionError):
        return True
    return False


def wait_closed(server: Server, client: openai.OpenAI | None = None) -> None:
    eventually(lambda: refused(lambda: say(client or server.client())), "the middleware has seen the pause")


def test_requests_pass_wait_time_out_and_are_woken(sidecar: Sidecar, server: Server) -> None:
    client = server.client()
    assert say(client).choices[0].message.content == "5 characters"
    pause(sidecar, "asgi")
    wait_closed(server)
    with pytest.raises(openai.InternalServerError) as caught:
        say(client)
    assert caught.value.status_code == 503
    assert caught.value.body["code"] == "inference_paused"
    assert "it repeats itself" in caught.value.body["message"]
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 10
    # By default, the client retries, and succeeds when the gate opens.
    blocked = sidecar.counters("asgi")["requests_blocked"]
    with ThreadPoolExecutor(8) as pool:
        patient = server.client(max_retries=5)
        answers = [pool.submit(say, patient, "x" * 300_000) for _ in range(8)]
        eventually(lambda: sidecar.counters("asgi")["requests_blocked"] >= blocked + 8, "all are blocked")
        sidecar.resume("asgi")
        assert {answer.result().choices[0].message.content for answer in answers} == {"300000 characters"}
    eventually_equal(lambda: sidecar.counters("asgi")["waiters"], 0, "the last report arrives")
    counters = sidecar.counters("asgi")
    assert counters["requests_waited"] + counters["requests_timed_out"] == counters["requests_blocked"]


def test_requests_that_generate_nothing_pass_a_closed_gate(sidecar: Sidecar, server: Server) -> None:
    pause(sidecar, "asgi")
    wait_closed(server)
    assert requests.get(f"{server.url}/health", timeout=60).ok
    assert server.client().models.list().data[0].id == "m"
    answer = requests.post(f"{server.url}/v1/messages", json={}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "overloaded_error")
    sidecar.resume("asgi")
    eventually(lambda: requests.post(f"{server.url}/v1/messages", json={}, timeout=30).ok, "open")


def test_a_stream_that_has_begun_is_never_interrupted(sidecar: Sidecar, server: Server) -> None:
    stream = say(server.client(), "once", stream=True)
    first = next(stream)
    assert first.choices[0].delta.content == "once"
    pause(sidecar, "asgi")
    wait_closed(server)
    assert requests.post(f"{server.url}/go", timeout=60).ok
    assert [part.choices[0].delta.content for part in stream] == [" and more", None]
    sidecar.resume("asgi")


def test_a_client_that_leaves_while_waiting_is_counted_and_never_reaches_the_server(sidecar: Sidecar) -> None:
    with asgi(sidecar, WELLBEING_SCOPE="leave") as server:
        pause(sidecar, "leave")
        eventually(lambda: not_open(server), "the middleware has seen the pause")
        seen = requests.get(f"{server.url}/health", timeout=30).json()["chat"]
        before = sidecar.counters("leave")["requests_abandoned"]
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall((head + body).encode())
            sidecar.wait_for_waiters("leave", 1)
        eventually(
            lambda: sidecar.counters("leave")["requests_abandoned"] > before,
            "the request counts as abandoned",
        )
        sidecar.resume("leave")
        eventually(lambda: say(server.client()), "open again")
        assert requests.get(f"{server.url}/health", timeout=30).json()["chat"] == seen + 1


def not_open(server: Server) -> bool:
    """Whether a request waits. The test abandons the request at once."""
    try:
        say(server.client(timeout=0.3))
    except openai.APITimeoutError:
        return True
    return False


def test_a_header_or_the_model_selects_the_scope(sidecar: Sidecar) -> None:
    environ = {"WELLBEING_SCOPE": "team", "WELLBEING_CLIENT_WAIT_SECS": "0"}
    with asgi(
        sidecar,
        WELLBEING_CLIENT_SCOPE_HEADER="X-Agent",
        WELLBEING_CLIENT_SCOPE_FROM_MODEL="true",
        WELLBEING_CLIENT_SHOW_REASON="false",
        **environ,
    ) as server:
        pause(sidecar, "team/a-1")
        pause(sidecar, "team/m")
        header = {"X-Agent": "a-1"}
        client = server.client()
        eventually(lambda: refused(lambda: say(client, extra_headers=header)), "the agent's scope is closed")
        eventually(lambda: refused(lambda: say(client)), "the model's scope is closed")
        other = client.chat.completions.create(
            model="other", messages=[{"role": "user", "content": "x" * 99_999}]
        )
        assert other.choices[0].message.content == "99999 characters"
        with pytest.raises(openai.InternalServerError) as caught:
            say(client)
        assert "repeats" not in str(caught.value)


def test_requests_of_a_wsgi_server_wait_too(sidecar: Sidecar) -> None:
    port = free_port()
    command = ["-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "12", "-w", "1"]
    command += ["--no-control-socket", "openai_wsgi:app"]
    environ = settings(sidecar, WELLBEING_SCOPE="wsgi", WELLBEING_CLIENT_WAIT_SECS="1")
    with Server(command, port, **environ) as server:
        assert say(server.client()).choices[0].message.content == "5 characters"
        pause(sidecar, "wsgi")
        wait_closed(server)
        with pytest.raises(openai.InternalServerError) as caught:
            say(server.client())
        assert "retry-after" in caught.value.response.headers
        patient = server.client(max_retries=5)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(say, patient) for _ in range(8)]
            eventually_equal(lambda: sidecar.counters("wsgi")["waiters"], 8, "all wait")
            sidecar.resume("wsgi")
            assert {answer.result().choices[0].message.content for answer in answers} == {"5 characters"}
        eventually_equal(lambda: sidecar.counters("wsgi")["waiters"], 0, "reported")
