"""Arguments and variables of the client: wrong ones are refused before anything starts."""

from __future__ import annotations

import re
import threading

import pytest

from sidecar.client import Agent, Gate, Settings
from sidecar.client import settings as settings_module
from sidecar.client.asgi import GateMiddleware as AsgiMiddleware
from sidecar.client.endpoint import parse_endpoint, proxy_for
from sidecar.client.errors import Misconfigured
from sidecar.client.routing import GateSelector
from sidecar.client.wsgi import GateMiddleware as WsgiMiddleware


def wsgi(**settings):
    return WsgiMiddleware(None, **settings)


def asgi(**settings):
    return AsgiMiddleware(None, **settings)


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


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="tokn"):
        Gate("http://127.0.0.1:1", tokn="x")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:secret@h:1",
        "me:secret@h:1",
        "http//me:secret@h",
        "http://me:sec/ret@h",
        "http://me:secret@h:port",
        "http://me:secret@[h",
        "http://me:secret@h?secret",
    ],
)
def test_no_error_of_a_url_contains_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: ") as refused:
        parse_endpoint(url)
    assert "sec" not in str(refused.value)
