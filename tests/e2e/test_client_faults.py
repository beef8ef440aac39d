"""The client survives wrong responses of a sidecar or of a proxy, and recovers by itself."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import threading
import zlib

import pytest

from harness.hostile_server import (
    HostileServer,
    answered,
    cuts,
    drips,
    resets,
    sends,
    snapshot,
    stalls,
)
from harness.process import eventually, eventually_equal
from sidecar.client import Agent, Gate, InferencePaused, gate_poller
from sidecar.client.connection import Connection

OPEN = answered(snapshot("open", 3), ETag='"3"')
CLOSED = answered(snapshot("closed", 1), ETag='"1"')
BODY = answered(snapshot("open", 2), ETag='"2"')
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def zeros():
    return gzip.compress(b"0" * 50_000_000, compresslevel=1)


def members(**changed):
    return sends(answered({**snapshot("open", 2), **changed}))


# Each response answers one watch. The gate is closed before the watch and open after it.
BAD = {
    "nothing": lambda server: cuts(b""),
    "cut in the status line": lambda server: cuts(b"HTTP/1."),
    "cut in the head": lambda server: cuts(BODY[:40]),
    "cut in the body": lambda server: cuts(BODY[:-20]),
    "cut in a chunk": lambda server: cuts(CHUNKED + b"ff\r\n{"),
    "cut between chunks": lambda server: cuts(CHUNKED + b"1\r\n{\r\n"),
    "reset": lambda server: resets(b""),
    "reset in the head": lambda server: resets(BODY[:40]),
    "reset in the body": lambda server: resets(BODY[:-20]),
    "stalled": lambda server: stalls(server, b""),
    "stalled in the head": lambda server: stalls(server, BODY[:40]),
    "stalled in the body": lambda server: stalls(server, BODY[:-20]),
    "stalled in a chunk": lambda server: stalls(server, CHUNKED + b"ff\r\n{"),
    "a head that drips": lambda server: drips(server, b"HTTP/1.1 200 OK\r\nX: "),
    "headers without an end": lambda server: drips(server, b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "a body that drips": lambda server: drips(server, HEAD + b"Content-Length: 99999\r\n\r\n"),
    "chunks without an end": lambda server: drips(server, CHUNKED, b"1\r\n \r\n"),
    "only 100 Continue": lambda server: drips(server, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "garbage": lambda server: cuts(bytes(range(256)) * 10),
    "another protocol": lambda server: cuts(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a bad status": lambda server: cuts(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a bad length": lambda server: cuts(HEAD + b"Content-Length: many\r\n\r\n{}"),
    "a negative length": lambda server: cuts(HEAD + b"Content-Length: -1\r\n\r\n{}"),
    "a bad chunk": lambda server: cuts(CHUNKED + b"zz\r\n{}"),
    "a negative chunk": lambda server: drips(server, CHUNKED + b"-1\r\n", b"x" * 65536),
    "a huge body": lambda server: drips(server, HEAD + b"\r\n", b"x" * 65536, 0.001),
    "a huge header": lambda server: cuts(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n"),
    "bad gzip": lambda server: sends(answered(b"no gzip", Content_Encoding="gzip")),
    "gzip that is cut": lambda server: sends(answered(gzip.compress(BODY)[:-9], Content_Encoding="gzip")),
    "a gzip bomb": lambda server: sends(answered(zeros(), Content_Encoding="gzip")),
    "a coding that is not known": lambda server: sends(answered(b"x", Content_Encoding="br")),
    "no JSON": lambda server: sends(answered(b"<html>", Content_Type="text/html")),
    "deep JSON": lambda server: sends(answered(b"[" * 100_000)),
    "JSON that is not UTF-8": lambda server: sends(answered(b'{"gate": "\xff"}')),
    "a list": lambda server: sends(answered([])),
    "null": lambda server: sends(answered(None)),
    "an unknown gate": lambda server: members(gate="ajar"),
    "no version": lambda server: members(version=None),
    "a version of text": lambda server: members(version="2"),
    "a state of null": lambda server: members(state=None),
    "a scope of numbers": lambda server: members(scope=[1]),
    "a reason of numbers": lambda server: members(gate="closed", reason=5),
    "an end of numbers": lambda server: members(gate="closed", until=5),
    "500": lambda server: sends(answered({}, 500)),
    "503": lambda server: sends(answered({"detail": "shutting down"}, 503)),
    "204": lambda server: sends(b"HTTP/1.1 204 X\r\n\r\n"),
    "429": lambda server: sends(answered({}, 429)),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_response_is_reported_and_the_next_good_one_is_used(bad: str) -> None:
    def answers(request):
        if not request.is_watch:
            return None
        number = len(server.watches)
        if number == 1:
            return sends(CLOSED)
        if number == 2:
            return BAD[bad](server)
        return sends(OPEN) if number == 3 else None

    with (
        HostileServer(answers) as server,
        Gate(server.url, stale_after_secs=1, report_secs=0, unreachable="closed") as gate,
    ):
        eventually(lambda: gate.health.reachable is False or gate.is_open, "the bad answer is noticed")
        eventually(lambda: gate.is_open, "the good response is used")
        assert gate.health.reachable
        assert not gate.health.fallback
        assert gate.health.failures == 0, "a network error does not count as a failure of the client"
        gate.wait(0)


JSON = json.dumps(snapshot("open", 2)).encode()
GOOD = {
    "chunks": CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON),
    "until the end": HEAD + b"\r\n" + JSON,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + JSON,
    "a length and an end": HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(JSON), JSON),
    "gzip": answered(gzip.compress(JSON), Content_Encoding="gzip"),
    "deflate": answered(zlib.compress(JSON), Content_Encoding="deflate"),
    "100 Continue before it": b"HTTP/1.1 100 Continue\r\n\r\n" + answered(JSON),
}


@pytest.mark.parametrize("good", GOOD)
def test_a_response_is_read_in_every_http_framing(good: str) -> None:
    def answers(request):
        return cuts(GOOD[good]) if len(server.watches) == 1 else None

    with HostileServer(answers) as server, Gate(server.url, unreachable="closed", report_secs=0) as gate:
        gate.wait(30)
        eventually(lambda: len(server.watches) >= 2, "the client sends the next watch")
        assert gate.snapshot.version == 2


def test_a_connection_that_the_server_closed_is_reopened_without_a_log_line(caplog) -> None:
    def answers(request):
        number = len(server.watches)
        return cuts(answered(snapshot("closed" if number % 2 else "open", number))) if number < 6 else None

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        # A request that the server read and dropped is sent again, and the server counts it twice.
        eventually(lambda: gate.snapshot and gate.snapshot.version >= 4, "the client sends further watches")
        assert caplog.records == []


def test_bytes_that_arrive_before_a_request_are_not_used_as_its_response() -> None:
    def answers(request):
        number = len(server.watches)
        # The second response follows the first without a request.
        return sends(CLOSED + OPEN) if number == 1 else None

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        eventually(lambda: len(server.watches) >= 2, "the client sends the request again")
        assert not gate.is_open


@pytest.mark.parametrize("unreachable", ["open", "closed"])
@pytest.mark.parametrize("bad", ["stalled", "a head that drips", "cut in the body", "null", "503"])
def test_a_sidecar_that_sends_only_bad_responses_counts_as_unreachable(bad: str, unreachable: str) -> None:
    known = CLOSED if unreachable == "open" else OPEN

    def answers(request):
        return sends(known) if len(server.watches) == 1 else BAD[bad](server)

    with (
        HostileServer(answers) as server,
        Gate(server.url, stale_after_secs=0.6, report_secs=0, unreachable=unreachable) as gate,
    ):
        eventually(lambda: gate.snapshot, "the first answer")
        assert gate.is_open is (unreachable == "closed"), "the client uses the last known state"
        eventually(lambda: gate.health.fallback, "the last known state is stale")
        assert gate.is_open is (unreachable == "open")
        assert gate.snapshot is None
        assert gate.health.error


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        http.client.IncompleteRead(b""),
        zlib.error("bad"),
        RecursionError(),
        MemoryError(),
        AssertionError(),
        SystemExit(1),
        KeyboardInterrupt(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["ask", "hear", "report"])
def test_any_exception_of_the_client_is_survived_and_counted(
    monkeypatch, error: BaseException, where: str
) -> None:
    raised = threading.Event()
    places = {
        "ask": (Connection, "request"),
        "hear": (gate_poller.GatePoller, "_handle_response"),
        "report": (gate_poller.GatePoller, "_report"),
    }
    owner, name = places[where]
    original = getattr(owner, name)

    def raises_once(*args, **kwargs):
        if not raised.is_set():
            raised.set()
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, raises_once)

    def answers(request):
        return sends(OPEN) if request.is_watch and "if-none-match" not in request.headers else None

    with (
        HostileServer(answers) as server,
        Gate(server.url, report_secs=0.1, unreachable="closed") as gate,
    ):
        eventually(raised.is_set, "the exception is raised")
        eventually_equal(lambda: gate.health.failures, 1, "the failure is counted")
        eventually(lambda: gate.health.reachable, "the thread continues")
        gate.wait(30)
        assert gate._poller._thread.is_alive()


def test_a_stuck_thread_does_not_keep_the_gate_open(monkeypatch) -> None:
    stuck, go = threading.Event(), threading.Event()
    original = Connection.request

    def sticks(self, method, route, **kwargs):
        if "If-None-Match" in (kwargs.get("headers") or {}):
            stuck.set()
            go.wait()  # simulates a name server that does not answer
        return original(self, method, route, **kwargs)

    monkeypatch.setattr(Connection, "request", sticks)

    def answers(request):
        return sends(OPEN) if "if-none-match" not in request.headers else None

    with (
        HostileServer(answers) as server,
        Gate(server.url, stale_after_secs=0.5, report_secs=0, unreachable="closed") as gate,
    ):
        try:
            gate.wait(30)
            eventually(stuck.is_set, "the thread is stuck")
            eventually(lambda: not gate.is_open, "the gate counts as unreachable")
            with pytest.raises(InferencePaused, match="unreachable"):
                gate.wait(0)
        finally:
            go.set()


def test_a_client_waits_only_briefly_for_a_first_response_that_never_comes() -> None:
    with HostileServer(lambda request: stalls(server, b"")) as server:
        with Gate(server.url, unreachable="open", report_secs=0) as gate:
            gate.wait(30)
            assert gate.health.reachable is not True
        with (
            Gate(server.url, unreachable="closed", report_secs=0) as gate,
            pytest.raises(InferencePaused),
        ):
            gate.wait(0)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_a_callback_that_raises_does_not_stop_the_client(error: BaseException) -> None:
    told = []
    registered = threading.Event()

    def raises(*_):
        raise error

    def answers(request):
        # No callback learns of a change before that.
        registered.wait(30)
        number = len(server.watches)
        return sends(answered(snapshot("closed" if number % 2 else "open", number))) if number < 4 else None

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        gate.on_change(raises)
        gate.on_change(lambda is_open, _: told.append(is_open))
        registered.set()
        eventually(lambda: told and told[-1] is False, "the callback gets all changes")
        assert gate.health.failures > 0


def test_a_callback_that_never_returns_does_not_stop_the_gate() -> None:
    go = threading.Event()

    def answers(request):
        number = len(server.watches)
        return sends(answered(snapshot("closed" if number % 2 else "open", number))) if number < 5 else None

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        gate.on_change(lambda *_: go.wait())
        eventually(lambda: len(server.watches) >= 5, "the gate is followed")
        eventually(lambda: gate.is_open, "the gate opens")
        go.set()


def test_a_log_handler_that_raises_does_not_end_a_thread() -> None:
    class Raises(logging.Filter):
        def filter(self, record):
            raise KeyError("a filter of the user")

    def answers(request):
        return sends(OPEN) if len(server.watches) == 4 else cuts(b"")

    log = logging.getLogger("wellbeing.client")
    broken = Raises()
    log.addFilter(broken)
    try:
        with (
            HostileServer(answers) as server,
            Gate(server.url, unreachable="closed", report_secs=0) as gate,
        ):
            eventually(lambda: gate.is_open, "the thread continues")
    finally:
        log.removeFilter(broken)


# -- Agent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["cut in the body", "reset", "stalled", "a head that drips", "garbage", "503"]
)
def test_an_agent_continues_after_a_bad_response(bad: str) -> None:
    def answers(request):
        return BAD[bad](server) if len(server.requests) == 1 else None

    with HostileServer(answers) as server:
        agent = Agent("a", server.url, ttl_secs=0.5)
        agent.report("distressed", "x")
        assert agent.flush(30)
        eventually(lambda: len(server.requests) > 3, "the agent repeats its claim")
        agent.close()
        assert agent.failures == 0
        assert b'"healthy"' in server.requests[-1].body, "the claim is withdrawn"


def test_an_agent_survives_any_exception(monkeypatch) -> None:
    errors = [KeyError("x"), SystemExit(1), MemoryError(), http.client.CannotSendRequest()]
    count = len(errors)
    original = Connection.request

    def raises(*args, **kwargs):
        if errors:
            raise errors.pop()
        return original(*args, **kwargs)

    monkeypatch.setattr(Connection, "request", raises)
    with HostileServer(lambda request: None) as server:
        agent = Agent("a", server.url, ttl_secs=0.3)
        agent.report("distressed")
        assert agent.flush(30)
        assert agent.failures == count
        agent.close()


# -- pacing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["strip", "gzip", "weak"])
def test_a_lost_or_changed_etag_does_not_delay_changes(how: str) -> None:
    tags = {"strip": {}, "gzip": {"ETag": '"7-gzip"'}, "weak": {"ETag": 'W/"7"'}}

    def answers(request):
        tagged = [
            one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")
        ]
        return None if '"7"' in tagged else sends(answered(snapshot("open", 7), **tags[how]))

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        gate.wait(30)
        eventually(lambda: len(server.watches) >= 2, "the second watch waits")
        assert '"7"' in server.watches[1].headers["if-none-match"]


@pytest.mark.parametrize("answer", [OPEN, b"HTTP/1.1 304 X\r\n\r\n"], ids=["200", "304"])
def test_responses_without_a_change_do_not_make_the_client_poll_without_pause(
    answer: bytes, monkeypatch
) -> None:
    pauses = []
    original = threading.Event.wait

    def answers(request):
        return sends(OPEN) if len(server.watches) == 1 else sends(answer)

    monkeypatch.setattr(
        gate_poller.PollPacer,
        "pause_secs",
        lambda self, took, *, changed: pauses.append(_pause(self, took, changed=changed)) or pauses[-1],
    )
    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        gate.wait(30)
        eventually(lambda: len(pauses) > 1, "the server answers again")
        assert pauses[0] == 0
        assert pauses[1] >= 1
    assert threading.Event.wait is original


_pause = gate_poller.PollPacer.pause_secs


def test_refused_requests_get_different_retry_times() -> None:
    def answers(request):
        return sends(CLOSED) if "if-none-match" not in request.headers else None

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        seen = set()
        for _ in range(60):
            with pytest.raises(InferencePaused) as caught:
                gate.wait(0)
            seen.add(caught.value.retry_after)
        assert seen == {5, 6, 7, 8, 9, 10}
