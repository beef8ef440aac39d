"""Which requests the middlewares hold, by which scope, and how they refuse them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.client import InferencePaused, Settings
from sidecar.client.routing import GateSelector, scope_of_header, scope_of_model
from sidecar.scope_segments import to_segment


def test_dots_in_a_header_become_no_segments() -> None:
    made = scope_of_header("../a/./b")
    assert not {".", ".."} & set(made.split("/"))
    assert Settings(scope=made).scope == made


def test_a_gate_together_with_settings_is_refused(paths) -> None:
    with pytest.raises(TypeError, match="not both"):
        GateSelector(paths.gate, scope="b")


@pytest.fixture
def paths():
    # No server listens there, and the test needs no response.
    selector = GateSelector(
        url="http://127.0.0.1:1", scope="a", scope_header="X-Scope", max_scopes=2, report_secs=0
    )
    yield selector
    selector.close()


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
