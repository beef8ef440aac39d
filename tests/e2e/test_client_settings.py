"""The client with wrong settings, and with settings from the environment."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from harness.hostile_server import (
    HostileServer,
    answered,
    sends,
    snapshot,
)
from harness.ports import free_port
from harness.process import eventually
from sidecar.client import Agent, Gate, InferencePaused

OPEN = answered(snapshot("open", 3), ETag='"3"')
CLOSED = answered(snapshot("closed", 1), ETag='"1"')


@pytest.mark.parametrize("status", [400, 401, 403, 404, 301, 405])
@pytest.mark.parametrize("unreachable", ["open", "closed"])
def test_a_refusal_is_logged_once_as_a_configuration_error(status, unreachable, caplog) -> None:
    def answers(request):
        return sends(answered({"detail": "so it is"}, status))

    with (
        caplog.at_level(logging.INFO, "wellbeing.client"),
        HostileServer(answers) as server,
        Gate(server.url, scope="a", unreachable=unreachable, report_secs=0) as gate,
    ):
        eventually(lambda: len(server.watches) > 2, "the client polls again")
        health = gate.health
        assert health.misconfigured
        assert health.reachable is False
        assert f"answered {status}: so it is" in health.error
        assert gate.is_open is (unreachable == "open")
        if unreachable == "closed":
            with pytest.raises(InferencePaused, match="misconfigured"):
                gate.wait(0)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert f"answered {status}" in errors[0]
    assert f"counts as {unreachable}" in errors[0], "never silently open"


def test_after_a_refusal_the_last_known_state_becomes_stale() -> None:
    def answers(request):
        return sends(CLOSED if len(server.watches) == 1 else answered({}, 401))

    with (
        HostileServer(answers) as server,
        Gate(server.url, stale_after_secs=0.6, report_secs=0, unreachable="open") as gate,
    ):
        eventually(lambda: gate.health.misconfigured, "the client is refused")
        eventually(lambda: gate.health.fallback, "the last known state is stale")
        assert gate.is_open
        server.answers = lambda request: sends(answered(snapshot("closed", 9)))
        eventually(lambda: gate.health.reachable, "the sidecar accepts the client")
        assert not gate.health.misconfigured
        assert not gate.is_open


def test_refused_reports_are_logged_once(caplog) -> None:
    def answers(request):
        if request.is_watch:
            return sends(OPEN) if "if-none-match" not in request.headers else sends(b"HTTP/1.1 304 X\r\n\r\n")
        return sends(answered({"detail": "no such role"}, 403))

    with HostileServer(answers) as server, Gate(server.url, report_secs=0.1) as gate:
        eventually(lambda: len(server.requests) - len(server.watches) > 2, "the client repeats its report")
        assert gate.health.reachable
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "reports are refused" in caplog.text


def test_an_agent_logs_that_it_is_refused(caplog) -> None:
    with HostileServer(lambda request: sends(answered({}, 403))) as server:
        agent = Agent("a", server.url, ttl_secs=1)
        agent.report("distressed")
        eventually(lambda: agent.health.misconfigured, "the agent notices the refusal")
        agent.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.fixture
def surprises(tmp_path: Path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{free_port()}")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "none.pem"))


@pytest.mark.parametrize("token", [None, "good-token"])
def test_the_client_ignores_proxies_and_credentials_of_the_environment(surprises, token: str | None) -> None:
    def answers(request):
        return sends(OPEN) if "if-none-match" not in request.headers else None

    with HostileServer(answers) as server:
        for host in ("127.0.0.1", "localhost"):
            with Gate(f"http://{host}:{server.port}", token=token, report_secs=0.1) as gate:
                eventually(lambda: gate.health.reachable, "the client connects without the proxy")
                eventually(
                    lambda: any("/reports" in one.target for one in server.requests),
                    "the client sends a report without the proxy",
                )
        agent = Agent("a", server.url, token=token)
        agent.report("distressed")
        assert agent.flush()
        agent.close()
        sent = {request.headers.get("authorization") for request in server.requests}
        assert sent == {f"Bearer {token}" if token else None}


def test_a_proxy_is_used_for_a_sidecar_on_another_host(monkeypatch) -> None:
    def answers(request):
        return sends(OPEN) if "if-none-match" not in request.headers else None

    with HostileServer(answers) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://us%40er:secret@127.0.0.1:{server.port}")
        monkeypatch.delenv("http_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with Gate("http://sidecar.invalid:9477", scope="a", report_secs=0) as gate:
            eventually(lambda: gate.health.reachable, "the proxy answers")
        first = server.requests[0]
        assert first.target.startswith("http://sidecar.invalid:9477/v1/watch/a?")
        assert first.headers["proxy-authorization"] == "Basic dXNAZXI6c2VjcmV0"
        assert first.headers["host"] == "sidecar.invalid:9477"
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
        with Gate("https://sidecar.invalid", report_secs=0) as gate:
            eventually(
                lambda: any(one.method == "CONNECT" for one in server.requests), "a tunnel is asked for"
            )
        assert next(one.target for one in server.requests if one.method == "CONNECT") == "sidecar.invalid:443"
