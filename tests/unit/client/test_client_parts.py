"""The parts of the client that need no sidecar."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
from collections import Counter
from random import Random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.client import Agent, Gate, InferencePaused, Settings, fork_safety
from sidecar.client import settings as settings_module
from sidecar.client.admission import AdmissionThread
from sidecar.client.asgi import GateMiddleware as AsgiMiddleware
from sidecar.client.closing import CloseBudget
from sidecar.client.connection import Connection
from sidecar.client.endpoint import parse_endpoint, proxy_for
from sidecar.client.errors import Misconfigured, Unreachable
from sidecar.client.fork_safety import PerProcess, flag_cleared_by_fork
from sidecar.client.pacing import PollPacer, backoff_secs
from sidecar.client.reporter import Reporter
from sidecar.client.request_counts import RequestCounts
from sidecar.client.routing import GateSelector, scope_of_header, scope_of_model
from sidecar.client.snapshot import Advice, GateSnapshot, spread_retry_after, spread_turn
from sidecar.client.wsgi import GateMiddleware as WsgiMiddleware
from sidecar.scope_segments import to_segment
from sidecar.supervision import Failures


def wsgi(**settings):
    return WsgiMiddleware(None, **settings)


def asgi(**settings):
    return AsgiMiddleware(None, **settings)


def test_counts_from_many_threads_are_complete() -> None:
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
        "succeeded": 0,
        "failed": 0,
    }


def test_a_request_beyond_the_limit_counts_as_timed_out() -> None:
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
        ({"wait_secs": float("nan")}, "wait_secs"),
        ({"url": "http://"}, "url"),
        ({"url": "http://h:99999"}, "url"),
        ({"url": "http://h/?x=1"}, "url"),
        ({"url": "http://a b"}, "url"),
        ({"url": "http://u:p@h", "token": "t"}, "url"),
        ({"token": "a b"}, "token"),
        ({"token": "a\nb"}, "token"),
    ],
)
def test_an_impossible_setting_is_named(given, what) -> None:
    with pytest.raises(ValueError, match=what):
        Settings.of(given, {})


def test_arguments_override_the_environment() -> None:
    environ = {"WELLBEING_SCOPE": "env", "WELLBEING_URL": "http://env", "WELLBEING_CLIENT_WAIT_SECS": "7"}
    settings = Settings.of({"scope": "", "url": None}, environ)
    assert (settings.scope, settings.url, settings.wait_secs) == ("", "http://env", 7)
    with pytest.raises(ValueError, match="WELLBEING_CLIENT_WAIT_SECS"):
        Settings.of({}, {"WELLBEING_CLIENT_WAIT_SECS": "soon"})


WRONG_SCOPES = {
    "a//b": "segment 2 is empty",
    "/a": "slash",
    "a/": "slash",
    "/": "slash",
    "..": "segment 1 is . or ..",
    "a/../b": "segment 2 is . or ..",
    "a/.": "segment 2 is . or ..",
    "a/b c": "segment 2 has a character",
    "a%2Fb": "has a character",
    "ä": "has a character",
    "a\n": "has a character",
    "x" * 65: "65 characters",
    "/".join("abcdefghi"): "9 segments",
}


@pytest.mark.parametrize("scope", WRONG_SCOPES)
@pytest.mark.parametrize("make", [Gate, lambda **one: Agent("a", **one), GateSelector, wsgi, asgi])
def test_a_wrong_scope_is_refused_before_anything_starts(scope, make, monkeypatch) -> None:
    threads = threading.active_count()
    with pytest.raises(ValueError, match="scope: .*" + re.escape(WRONG_SCOPES[scope])):
        make(scope=scope)
    monkeypatch.setenv("WELLBEING_SCOPE", scope)
    with pytest.raises(ValueError, match="WELLBEING_SCOPE: .*" + re.escape(WRONG_SCOPES[scope])):
        make()
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    "scope", ["", "a", "a/b", "...", "a/.b/..c", "/".join("abcdefgh"), "x" * 64, "a:b~c-d_e.f"]
)
def test_a_valid_scope_is_accepted(scope: str) -> None:
    assert Settings(scope=scope).scope == scope


def test_dots_in_a_header_become_no_segments() -> None:
    made = scope_of_header("../a/./b")
    assert not {".", ".."} & set(made.split("/"))
    assert Settings(scope=made).scope == made


def test_messages_contain_no_secret() -> None:
    for secret in (
        {"url": "http://user:hunter2@h:99999"},
        {"token": "hunter2 "},
        {"url": "http://u:hunter2@h", "token": "t"},
    ):
        with pytest.raises(ValueError, match=r"^(url|token): ") as caught:
            Settings.of(secret, {})
        assert "hunter2" not in str(caught.value)
    assert "hunter2" not in Settings(url="http://u:hunter2@h").shown_url


@pytest.mark.parametrize(
    ("make", "given", "hint"),
    [
        (Gate, {"tokn": "x"}, "did you mean token"),
        (lambda **one: Agent("a", **one), {"scop": "x"}, "did you mean scope"),
        (GateSelector, {"scope_hedaer": "x"}, "did you mean scope_header"),
        (wsgi, {"stale_after": 1}, "did you mean stale_after_secs"),
        (asgi, {"xyz": 1}, "no such setting: xyz"),
    ],
)
def test_an_unknown_argument_is_refused_with_a_suggestion(make, given, hint) -> None:
    with pytest.raises(TypeError, match=hint):
        make(**given)


def test_a_gate_together_with_settings_is_refused(paths) -> None:
    with pytest.raises(TypeError, match="not both"):
        GateSelector(paths.gate, scope="b")


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("WELLBEING_SCOEP", "did you mean WELLBEING_SCOPE?"),
        ("WELLBEING_TOKEN_FIEL", "did you mean WELLBEING_TOKEN_FILE?"),
        ("WELLBEING_CLIENT_UNREACHBLE", "did you mean WELLBEING_CLIENT_UNREACHABLE?"),
        ("WELLBEING_CLIENT_PATH", "did you mean WELLBEING_CLIENT_PATHS?"),
        ("WELLBEING_CLIENT_XYZ", "is not read"),
        ("WELLBEING_STORE", None),
        ("WELLBEING_LISTEN", None),
        ("WELLBEING_DEFAULTS__MAX_PAUSE_SECS", None),
        ("WELLBEING_ALERTS__RULES", None),
        ("WELLBEING_CONFIG", None),
        ("WELLBEING_SERVICE_HOST", None),
        ("WELLBEING_PORT_9477_TCP", None),
        ("WELLBEING_CLIENT_SERVICE_HOST", None),
        ("WELLBEING_CLIENT_PORT_80_TCP", None),
        ("WELLBEING_CLIENT_SHOW_REASON", None),
        ("WELLBEING_URL", None),
    ],
)
def test_a_misspelt_client_variable_is_logged_once_and_sidecar_variables_are_ignored(
    variable, said, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(settings_module, "_warned", {})
    value = "http://h" if variable.endswith("URL") else "x"
    for _ in range(2):
        Settings.of({}, {variable: value})
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (said is not None)
    assert not told or (variable in told[0] and said in told[0])


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_SCOPES", "many"), ("SHOW_REASON", "maybe"), ("SCOPE_HEADER", "a b")]
)
def test_an_impossible_variable_of_the_middleware_is_named(name, value, monkeypatch) -> None:
    monkeypatch.setenv("WELLBEING_CLIENT_" + name, value)
    with pytest.raises(ValueError, match="WELLBEING_CLIENT_" + name):
        GateSelector(url="http://127.0.0.1:1")


PROXIES = {
    "HTTPS_PROXY": "http://p:3128",
    "http_proxy": "http://q:80",
    "NO_PROXY": "10.0.0.0/8,.internal,h:1",
}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://sidecar.example", "http://p:3128"),
        ("http://sidecar.example", "http://q:80"),
        ("http://127.0.0.1:9477", None),
        ("https://127.9.9.9", None),
        ("https://localhost", None),
        ("https://[::1]:1", None),
        ("https://[::ffff:127.0.0.1]", None),
        ("unix:/run/x.sock", None),
        ("https://10.1.2.3", None),
        ("https://11.1.2.3", "http://p:3128"),
        ("https://a.internal", None),
        ("https://internals", "http://p:3128"),
        ("https://h:1", None),
        ("https://h:2", "http://p:3128"),
    ],
)
def test_a_proxy_is_used_for_other_hosts_only(url, proxy) -> None:
    found = proxy_for(parse_endpoint(url), PROXIES)
    assert (found and str(found)) == proxy


def test_a_proxy_that_cannot_be_used_is_a_configuration_error() -> None:
    with pytest.raises(Misconfigured, match="socks5"):
        proxy_for(parse_endpoint("https://h"), {"ALL_PROXY": "socks5://p:1"})
    assert proxy_for(parse_endpoint("http://h"), {"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}) is None


def test_polls_slow_down_only_without_changes() -> None:
    pacer = PollPacer(20.0, 15.0, Random(1))
    assert pacer.pause_secs(0.001, changed=True) == 0
    pauses = [pacer.pause_secs(0.001, changed=False) for _ in range(6)]
    assert 1 <= pauses[0] <= 2
    assert 2.5 <= pauses[-1] <= 5
    assert pacer.pause_secs(19.9, changed=False) == 0, "a poll that waited"
    assert 1 <= pacer.pause_secs(0.001, changed=False) <= 2, "and it begins again"
    pacer.pause_secs(19.9, changed=True)
    assert {pacer.pause_secs(0.001, changed=True) for _ in range(20)} == {0.0}
    assert pacer.pause_secs(0.001, changed=True) == 0.1, "a flood of changes is slowed down"


@pytest.mark.parametrize("make", [flag_cleared_by_fork, fork_safety._PidFlag])
def test_a_flag_is_cleared_in_a_forked_child_and_kept_in_the_parent(make) -> None:
    flag = make()
    assert flag[0] == 0
    flag[0] = 1
    pid = os.fork()
    if pid == 0:
        before, flag[0] = flag[0], 1
        os._exit(before * 2 + (1 - flag[0]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert flag[0] == 1
    flag[0] = 0
    assert flag[0] == 0


def test_each_process_creates_its_value_once() -> None:
    started = []
    values = PerProcess(object, started.append)
    barrier = threading.Barrier(8)
    found = []

    def work() -> None:
        barrier.wait()
        found.append(values.get())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == len(started) == 1


def test_a_value_whose_start_fails_is_created_again() -> None:
    tries = iter([RuntimeError("can't start new thread"), None])

    def start(_) -> None:
        if error := next(tries):
            raise error

    values = PerProcess(object, start)
    with pytest.raises(RuntimeError):
        values.get()
    assert values.get() is values.peek()


def test_the_time_to_close_many_gates_is_limited() -> None:
    budget = CloseBudget()
    allowed = []
    for _ in range(100):
        allowed.append(budget.allowance())
        budget.spend(allowed[-1])
    assert sum(allowed) < 10
    assert allowed[0] == 3


@pytest.mark.parametrize("secs", range(1, 11))
def test_clients_refused_together_get_different_retry_times(secs: int) -> None:
    random = Random(1)
    spread = Counter(spread_retry_after(secs, random) for _ in range(1000))
    assert len(spread) == 6
    assert min(spread) == min(secs, 5)
    assert max(spread) <= 10
    assert max(spread.values()) < 300


@pytest.mark.parametrize(
    ("secs", "least", "most"), [(0.01, 1, 2), (9.5, 10, 15), (42, 42, 63), (1e9, 300, 450)]
)
def test_retry_times_follow_the_expected_admission(secs: float, least: int, most: int) -> None:
    random = Random(1)
    spread = [spread_turn(secs, random) for _ in range(2000)]
    assert (min(spread), max(spread)) == (least, most)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": True},
        {"version": 1.5},
        {"scope": None},
        {"effective_state": 1},
        {"held_by": 0},
        {"since": []},
        {"advice": "yes"},
        {"advice": {"reason": "slow", "since": None, "until": None}},
    ],
)
def test_a_snapshot_has_the_right_types(changed) -> None:
    members = {"scope": "", "gate": "open", "state": "healthy", "effective_state": "healthy", "version": 1}
    assert GateSnapshot.of(members).is_open
    with pytest.raises(ValueError, match=next(iter(changed))):
        GateSnapshot.of({**members, **changed})


def test_a_snapshot_contains_the_advice() -> None:
    members = {"scope": "", "gate": "open", "state": "healthy", "effective_state": "healthy", "version": 1}
    assert GateSnapshot.of(members).advice is None
    given = {"reason": "slow", "since": "2026-11-27T12:00:00.000Z", "until": None}
    assert GateSnapshot.of({**members, "advice": {**given, "new": 1}}).advice == Advice(**given)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="tokn"):
        Gate("http://127.0.0.1:1", tokn="x")


@pytest.fixture
def paths():
    # No server listens there, and the test needs no response.
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
        ("GET", "/v1/responses/resp_1", True),
        ("POST", "/v1/messages/count_tokens", True),
        ("", "/v1/realtime", True),
        ("GET", "/health", False),
        ("GET", "/metrics", False),
        ("GET", "/v1/models", False),
    ],
)
def test_all_requests_except_harmless_ones_wait(paths, method: str, path: str, gated: bool) -> None:
    assert paths.is_gated(method, path) is gated


def test_the_number_of_scopes_from_requests_is_limited(paths) -> None:
    named = [paths.gate_for(scope_of_header(name)).settings.scope for name in ("x", "y/z", "w", "x", "")]
    assert named == ["a/x", "a/y/z", "a", "a/x", "a"]
    assert paths.gate_for("/".join("abcdefgh")) is paths.gate


def test_the_model_selects_a_scope() -> None:
    assert scope_of_model(b'{"model": "meta/llama"}') == to_segment("meta/llama")
    # A member whose name only has the same ending.
    assert scope_of_model(b'{"text": "%s", "a \\"model": "m"}' % (b"x" * 1000)) == ""
    for nothing in (b"", b"x", b"[]", b"{}", b'{"model": 1}', b'{"model": ""}', b"[" * 100_000):
        assert scope_of_model(nothing) == ""


_MEMBERS = st.sampled_from(
    ["model", "m", "messages", 'a"model"', "mod\\", "x{", "}", ']"', "m\u00f6del", "model2"]
)
_JSON = st.recursive(
    st.none()
    | st.integers()
    | st.sampled_from(["llama", "a/b", 'x"y', "\u00fc", "", '"model"', '{"model": "q"}', "z" * 400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_MEMBERS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.tuples(_MEMBERS, _JSON), max_size=5),
    st.booleans(),
    st.sampled_from(["", ', "model": "other"', ', "mod\\u0065l": "other"', ', "\\u006Dodel": "other"']),
)
@settings(max_examples=examples(200), deadline=None)
def test_the_model_is_read_from_the_whole_of_a_large_body(
    members: list[tuple[str, object]], ascii_only: bool, last: str
) -> None:
    text = json.dumps({**dict(members), "pad": "p" * 600, **dict(members[:1])}, ensure_ascii=ascii_only)
    body = (text[:-1] + last + "}").encode()
    model = json.loads(body).get("model")
    assert scope_of_model(body) == (to_segment(model) if isinstance(model, str) and model else "")


def test_refusals_have_the_format_of_the_api_and_can_omit_the_reason(paths) -> None:
    paused = InferencePaused("why", "a", "distressed", 7, 1.0)
    assert b'"inference_paused"' in paths.refusal("/v1/chat/completions", paused).body
    assert b'"overloaded_error"' in paths.refusal("/v1/messages", paused).body
    assert ("retry-after", "7") in paths.refusal("/x", paused).headers
    paths._show_reason = False
    assert b"why" not in paths.refusal("/v1/messages", paused).body


@pytest.mark.parametrize(
    ("until", "wanted"), [(None, 10), ("1970-01-01T00:00:13Z", 3), ("1970-01-01T00:00:01Z", 1), ("x", 10)]
)
def test_retry_after_is_derived_from_the_end_of_the_pause(until, wanted) -> None:
    snapshot = GateSnapshot("a", "closed", "healthy", "healthy", "r", None, until, "a", None, 1)
    assert snapshot.retry_after(10.0) == wanted


def test_many_clients_that_lost_their_sidecar_reconnect_at_different_times() -> None:
    random = Random(1)
    for failures, ceiling in ((1, 1.0), (4, 8.0), (50, 15.0)):
        pauses = [backoff_secs(failures, random) for _ in range(1000)]
        assert 0.05 <= min(pauses) < ceiling * 0.1
        assert ceiling * 0.9 < max(pauses) <= ceiling
        tenths = Counter(int(pause / ceiling * 10) for pause in pauses)
        assert max(tenths.values()) < 200, "no more than twice a fair share at once"


def test_a_slow_response_is_given_up_at_the_timeout() -> None:
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
                connection.request("GET", "watch", timeout=0.5)
        finally:
            connection.close()
            stop.set()
            thread.join()


class _RefusingReporter:
    client = "host:1:abc"

    def send(self, *_: object) -> bool:
        return False


def test_a_refused_outcome_report_is_retried_with_growing_delays() -> None:
    thread = AdmissionThread(
        Settings.of({"url": "http://127.0.0.1:1"}),
        cast("Reporter", _RefusingReporter()),
        lambda: None,
        lambda *_: None,
        Failures(logging.getLogger("test"), "failed"),
    )
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            if len(pauses) == 6:
                self.set()
            return self.is_set()

    class Longest(Random):
        def uniform(self, _: float, b: float) -> float:
            return b

    thread._stop, thread._random, thread._outcome = Stop(), Longest(), True
    thread._work(cast("Connection", None))
    assert pauses == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
