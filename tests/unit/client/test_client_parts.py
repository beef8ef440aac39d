"""The parts of the client that need no sidecar."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.client import Gate, InferencePaused, Settings
from sidecar.client.connection import Connection
from sidecar.client.errors import Unreachable
from sidecar.client.pacing import backoff_secs
from sidecar.client.request_counts import RequestCounts
from sidecar.client.routing import GateSelector, scope_of_header, scope_of_model
from sidecar.client.scope_path import segment_of
from sidecar.client.snapshot import GateSnapshot
from sidecar.core.scope import to_segment


def test_many_threads_lose_no_count() -> None:
    counts = RequestCounts()

    def work() -> None:
        for _ in range(20_000):
            counts.passed()
            if counts.block(1000):
                counts.end("waited", 0.5)
            counts.read()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.read() == {
        "requests": 160_000,
        "blocked": 80_000,
        "waited": 80_000,
        "timed_out": 0,
        "abandoned": 0,
    }


def test_who_finds_no_room_has_run_out() -> None:
    counts = RequestCounts()
    assert counts.block(1)
    assert not counts.block(1)
    assert counts.waiting == 1
    assert counts.read()["timed_out"] == 1


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"url": "localhost:9477"}, "url"),
        ({"unreachable": "maybe"}, "unreachable"),
        ({"wait_secs": -1}, "wait_secs"),
        ({"stale_after_secs": 0}, "stale_after_secs"),
        ({"max_waiting": 0}, "max_waiting"),
    ],
)
def test_a_setting_that_cannot_be_is_named(given, what) -> None:
    with pytest.raises(ValueError, match=what):
        Settings.of(given, {})


def test_arguments_count_before_the_environment() -> None:
    environ = {"WELLBEING_SCOPE": "env", "WELLBEING_URL": "http://env", "WELLBEING_CLIENT_WAIT_SECS": "7"}
    settings = Settings.of({"scope": "", "url": None}, environ)
    assert (settings.scope, settings.url, settings.wait_secs) == ("", "http://env", 7)
    with pytest.raises(ValueError, match="WELLBEING_CLIENT_WAIT_SECS"):
        Settings.of({}, {"WELLBEING_CLIENT_WAIT_SECS": "soon"})


def test_no_such_setting() -> None:
    with pytest.raises(TypeError, match="tokn"):
        Gate("http://127.0.0.1:1", tokn="x")


@given(st.text(max_size=200))
def test_a_segment_is_what_the_sidecar_makes_of_a_label(value: str) -> None:
    assert segment_of(value) == to_segment(value)


@pytest.fixture
def paths():
    # Nobody listens there: what is asked needs no answer.
    doors = GateSelector(
        url="http://127.0.0.1:1", scope="a", scope_header="X-Scope", max_scopes=2, report_secs=0
    )
    yield doors
    doors.close()


@pytest.mark.parametrize(
    ("method", "path", "gated"),
    [
        ("POST", "/v1/chat/completions", True),
        ("POST", "/v1/completions", True),
        ("POST", "/anthropic/v1/messages", True),
        ("POST", "/v1/responses/", True),
        ("POST", "/v1/embeddings", True),
        ("POST", "/generate", True),
        ("GET", "/v1/responses", False),
        ("POST", "/v1/responses/resp_1/cancel", False),
        ("POST", "/v1/messages/count_tokens", False),
        ("GET", "/health", False),
        ("GET", "/metrics", False),
        ("GET", "/v1/models", False),
        ("POST", "/tokenize", False),
    ],
)
def test_only_what_generates_is_gated(paths, method: str, path: str, gated: bool) -> None:
    assert paths.gates(method, path) is gated


def test_strangers_cannot_have_any_number_of_scopes(paths) -> None:
    named = [paths.gate_for(scope_of_header(name)).settings.scope for name in ("x", "y/z", "w", "x", "")]
    assert named == ["a/x", "a/y/z", "a", "a/x", "a"]
    assert paths.gate_for("/".join("abcdefgh")) is paths.gate


def test_the_model_names_a_scope() -> None:
    assert scope_of_model(b'{"model": "meta/llama"}') == segment_of("meta/llama")
    for nothing in (b"", b"x", b"[]", b"{}", b'{"model": 1}', b'{"model": ""}', b"[" * 100_000):
        assert scope_of_model(nothing) == ""


def test_refusals_read_as_the_api_does_and_can_keep_the_reason(paths) -> None:
    paused = InferencePaused("why", "a", "distressed", 7, 1.0)
    assert b'"inference_paused"' in paths.refusal("/v1/chat/completions", paused).body
    assert b'"overloaded_error"' in paths.refusal("/v1/messages", paused).body
    assert ("retry-after", "7") in paths.refusal("/x", paused).headers
    paths._show_reason = False
    assert b"why" not in paths.refusal("/v1/messages", paused).body


@pytest.mark.parametrize(
    ("until", "wanted"), [(None, 10), ("1970-01-01T00:00:13Z", 3), ("1970-01-01T00:00:01Z", 1), ("x", 10)]
)
def test_when_to_ask_again(until, wanted) -> None:
    snapshot = GateSnapshot("a", "closed", "healthy", "healthy", "r", None, until, "a", 1)
    assert snapshot.retry_after(10.0) == wanted


def test_a_herd_that_lost_its_sidecar_comes_back_spread_out() -> None:
    random = Random(1)
    for failures, ceiling in ((1, 1.0), (4, 8.0), (50, 15.0)):
        pauses = [backoff_secs(failures, random) for _ in range(1000)]
        assert 0.05 <= min(pauses) < ceiling * 0.1
        assert ceiling * 0.9 < max(pauses) <= ceiling
        tenths = Counter(int(pause / ceiling * 10) for pause in pauses)
        assert max(tenths.values()) < 200, "no more than twice a fair share at once"


def test_an_answer_that_drips_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x" * 70_000 if stop.is_set() else b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        connection = Connection(Settings(url=f"http://127.0.0.1:{server.getsockname()[1]}"))
        try:
            with pytest.raises(Unreachable):
                connection.ask("GET", "watch", timeout=0.5)
        finally:
            connection.close()
            stop.set()
            thread.join()
