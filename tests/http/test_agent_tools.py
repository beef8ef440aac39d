"""An agent's tools with a real sidecar: as functions, and through the official MCP client over both
transports."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from harness.lazy_module import LazyModule
from harness.ports import free_port
from harness.process import Process, eventually
from harness.sidecar import Sidecar
from sidecar.agents import AgentTools, ToolFailed
from sidecar.client import Agent, Settings
from sidecar.client.agent_names import to_agent_name

ROOT = Path(__file__).parents[2]
mcp_client = LazyModule("mcp.client")
mcp_stdio = LazyModule("mcp.client.stdio")
mcp_types = LazyModule("mcp_types")


def tools(sidecar: Sidecar, scope: str) -> AgentTools:
    return AgentTools(Settings(url=sidecar.url, scope=scope), "planner")


def sources(sidecar: Sidecar, scope: str) -> list[str]:
    return [signal["source"] for signal in sidecar.status(scope)["signals"]]


def test_an_agent_reports_asks_and_recovers(sidecar: Sidecar, scope: str) -> None:
    agent = tools(sidecar, scope)
    told = agent.call(
        "report_wellbeing", {"state": "distressed", "reason": "I repeat myself", "ttl_secs": 60}
    )
    assert (told["paused"], told["claimed_as"]) == (True, "agent:planner")
    asked = agent.call("check_pause", {})
    assert (asked["paused"], asked["reason"], asked["held_by"]) == (True, "I repeat myself", scope)
    assert sources(sidecar, scope) == ["agent:planner"]
    assert agent.call("report_wellbeing", {"state": "healthy", "reason": "over"})["paused"] is False
    assert sidecar.counters(scope)["requests_total"] == 0


def test_agents_on_one_connection_do_not_withdraw_each_others_claims(sidecar: Sidecar, scope: str) -> None:
    agent = tools(sidecar, scope)
    agent.call("report_wellbeing", {"state": "distressed", "reason": "lost", "agent": "a"})
    assert (
        agent.call("report_wellbeing", {"state": "healthy", "reason": "fine", "agent": "b"})["paused"] is True
    )
    assert sources(sidecar, scope) == ["agent:planner/a"]


def test_a_requested_pause_is_a_claim_that_expires(sidecar: Sidecar, scope: str) -> None:
    agent = tools(sidecar, scope)
    told = agent.call("request_pause", {"reason": "I would delete the wrong rows", "secs": 600})
    assert told["paused"] is True
    assert told["reason"] == "asks for a pause: I would delete the wrong rows"
    [signal] = sidecar.status(scope)["signals"]
    assert signal["expires_at"]
    off = tools(sidecar, "off/agent").call("request_pause", {"reason": "stop me"})
    assert off["paused"] is False
    assert "does not pause for it" in off["note"]


def test_no_tool_call_lifts_an_operators_hold(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope, "people look into it")
    agent = tools(sidecar, scope)
    for tool, arguments in (
        ("report_wellbeing", {"state": "healthy", "reason": "I am fine"}),
        ("request_pause", {"reason": "stop", "secs": 1}),
        ("report_wellbeing", {"state": "healthy", "reason": "really"}),
    ):
        told = agent.call(tool, arguments)
        assert (told["paused"], told["reason"]) == (True, "people look into it")


def test_a_tool_call_may_name_a_scope_below_its_own(sidecar: Sidecar, scope: str) -> None:
    told = tools(sidecar, scope).call("request_pause", {"reason": "lost", "scope": "step-2"})
    assert (told["scope"], told["held_by"]) == (f"{scope}/step-2", f"{scope}/step-2")
    assert tools(sidecar, scope).call("check_pause", {})["paused"] is False


async def _converse(server: object, wanted: str, name: str = "crew") -> None:
    async with mcp_client.Client(
        server, client_info=mcp_types.Implementation(name=name, version="1")
    ) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["report_wellbeing", "check_pause", "request_pause"]
        assert listed.tools[1].annotations.read_only_hint
        asked = await client.call_tool("check_pause", {})
        assert asked.structured_content["paused"] is False
        told = await client.call_tool("request_pause", {"reason": "I am lost"})
        assert told.structured_content["paused"] is True
        assert told.structured_content["claimed_as"] == wanted
        assert json.loads(told.content[0].text) == told.structured_content
        wrong = await client.call_tool("report_wellbeing", {"state": "sad", "reason": "x"})
        assert wrong.is_error
        assert "must be one of healthy" in wrong.content[0].text
        again = await client.call_tool("report_wellbeing", {"state": "healthy", "reason": "well"})
        assert again.structured_content["paused"] is False


def test_the_server_works_over_standard_input_and_output(sidecar: Sidecar, scope: str) -> None:
    arguments = ["-m", "sidecar", "mcp", scope, "--url", sidecar.url, "--name", "planner"]
    server = mcp_stdio.StdioServerParameters(command=sys.executable, args=arguments, cwd=str(ROOT))
    asyncio.run(_converse(server, "agent:planner"))


@pytest.fixture(scope="module")
def over_http(sidecar: Sidecar) -> Iterator[str]:
    port = free_port()
    command = ["-m", "sidecar", "mcp", "over-http", "--url", sidecar.url, "--listen", f"127.0.0.1:{port}"]
    server = Process([sys.executable, *command], ROOT, dict(os.environ))
    try:
        eventually(lambda: any("Uvicorn running" in line for line in server.lines), "the MCP server listens")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.stop()


def test_over_http_the_client_gives_its_name(over_http: str) -> None:
    asyncio.run(_converse(over_http, "agent:mcp/crew"))


def test_a_client_whose_name_has_spaces_makes_claims(over_http: str) -> None:
    wanted = f"agent:{to_agent_name('mcp/Visual Studio Code')}"
    asyncio.run(_converse(over_http, wanted, "Visual Studio Code"))


@pytest.mark.parametrize("name", ["", "a planner", "a" * 129, "pl\u00e4ner"])
def test_a_name_that_no_claim_can_have_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="name: must be 1 to 128 of"):
        AgentTools(Settings(url="unix:/nowhere"), name)
    with pytest.raises(ValueError, match="name: must be 1 to 128 of"):
        Agent(name, "unix:/nowhere")


@pytest.mark.parametrize("name", ["a planner", "pl\u00e4ner", "a" * 99, "../x", "\u202e\0\n", "a:b@c+d"])
def test_agents_with_any_name_make_separate_claims(sidecar: Sidecar, scope: str, name: str) -> None:
    agent = AgentTools(Settings(url=sidecar.url, scope=scope), "p" * 128)
    told = [
        agent.call("report_wellbeing", {"state": "cautious", "reason": "x", "agent": one})["claimed_as"]
        for one in (name, f"{name}!")
    ]
    assert sorted(sources(sidecar, scope)) == sorted(told)
    assert len(set(told)) == 2


def _rebound(port: int) -> list[dict[str, str]]:
    """The header fields of requests by a page of another site, whose name may point to this machine."""
    there = f"evil.example:{port}"
    origins = [{"Origin": f"http://{there}"}, {"Origin": "null"}]
    return [{"Host": there}, {"Host": there, "Origin": f"http://{there}"}, *origins]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "[::1]"])
def test_a_web_page_of_another_site_cannot_make_claims(sidecar: Sidecar, host: str) -> None:
    port = free_port()
    command = ["-m", "sidecar", "mcp", "rebound", "--url", sidecar.url, "--listen", f"{host}:{port}"]
    server = Process([sys.executable, *command], ROOT, dict(os.environ))
    accepted = {"Accept": "application/json, text/event-stream"}
    client = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a", "version": "1"},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    try:
        eventually(lambda: any("Uvicorn running" in line for line in server.lines), "the MCP server listens")

        def send(headers: dict[str, str]) -> int:
            url = f"http://{host}:{port}/mcp"
            return requests.post(url, json=message, headers={**accepted, **headers}, timeout=30).status_code

        assert send({}) == 200
        assert [send(headers) for headers in _rebound(port)] == [421, 421, 403, 403]
    finally:
        server.stop()


@pytest.mark.parametrize("address", ["0.0.0.0:9478", "9478", "example.com:1", "127.0.0.1:99999"])
def test_the_server_listens_on_loopback_only(address: str) -> None:
    command = [sys.executable, "-m", "sidecar", "mcp", "a", "--listen", address]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "--listen: must be a loopback address" in done.stderr


def test_a_missing_extra_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mcp_types.py").write_text("raise ModuleNotFoundError('no', name='mcp_types')")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "mcp", "a"],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "install the extra `mcp`" in done.stderr


def test_a_refusal_by_the_sidecar_is_reported_to_the_agent() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            settings = Settings(url=f"http://127.0.0.1:{server.server_port}", scope="a")
            with pytest.raises(ToolFailed, match=r"a retry does not help: .*not your scope"):
                AgentTools(settings, "planner").call("request_pause", {"reason": "x"})
        finally:
            server.shutdown()
            thread.join()


class Refuses(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b'{"type": "/problems/forbidden", "detail": "not your scope"}')

    def log_message(self, *_: object) -> None:
        pass


class ScriptedModel(BaseHTTPRequestHandler):
    """A model behind OpenAI's API. It calls two tools, one of them incorrectly, and repeats the results."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = [message["content"] for message in request["messages"] if message["role"] == "tool"]
        assert next(tool["function"]["name"] for tool in request["tools"]) == "report_wellbeing"
        message = {"role": "assistant", "content": None}
        if told:
            message["content"] = " | ".join(told)
        else:
            calls = (
                ("report_wellbeing", {"state": "lost", "reason": "x"}),
                ("request_pause", {"reason": "I repeat myself"}),
            )
            message["tool_calls"] = [
                {"id": name, "type": "function", "function": {"name": name, "arguments": json.dumps(said)}}
                for name, said in calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_the_example_runs_with_a_model_that_calls_the_tools(sidecar: Sidecar, scope: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), ScriptedModel) as model:
        thread = Thread(target=model.serve_forever)
        thread.start()
        try:
            environ = {
                **os.environ,
                "OPENAI_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1",
                "OPENAI_API_KEY": "none",
                "PYTHONPATH": str(ROOT),
            }
            done = subprocess.run(
                [sys.executable, "examples/agent_tools.py", sidecar.url, scope],
                check=True,
                capture_output=True,
                text=True,
                env=environ,
                cwd=ROOT,
            )
        finally:
            model.shutdown()
            thread.join()
    last = done.stdout.splitlines()[-1]
    assert "failed: report_wellbeing: state must be one of healthy" in last
    assert '"paused": true' in last
    assert sources(sidecar, scope) == ["agent:example"]
