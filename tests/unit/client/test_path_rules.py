"""A closed gate holds every route of an inference server except the listed harmless ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.client.harmless_paths import HARMLESS, HARMLESS_PATHS
from sidecar.client.path_rules import PathRules, split_paths

TABLES = Path(__file__).parents[2] / "fixtures" / "routes"
ENGINES = {path.stem: json.loads(path.read_text()) for path in sorted(TABLES.glob("*.json"))}
ROUTES = [(name, *route.split(" ", 1)) for name, table in ENGINES.items() for route in table["routes"]]

GENERATING = {
    "vllm": "/v1/chat/completions /v1/chat/completions/batch /v1/completions /v1/messages /v1/responses /v1/embeddings "
    "/v2/embed /pooling /classify /score /v1/score /rerank /v1/rerank /v2/rerank /generative_scoring /v1/decisions "
    "/v1/systemone /invocations /inference/v1/generate /cohere/v2/chat /v1/audio/transcriptions "
    "/v1/audio/translations /v1/realtime",
    "sglang": "/generate /encode /classify /v1/classify /v1/completions /v1/chat/completions /v1/embeddings /v1/rerank "
    "/v1/score /v1/decisions /v1/systemone /v1/responses /v1/messages /v1/audio/transcriptions /invocations "
    "/vertex_generate /api/chat /api/generate /v1/images/generations /v1/images/edits /v1/videos /v1/meshes "
    "/v1/actions/generations /rollout/generate /v1/realtime /v1/actions/realtime /v1/realtime_video/generate",
    "litellm": "/chat/completions /v1/chat/completions /completions /embeddings /v1/messages /v1/responses /responses "
    "/audio/speech /audio/transcriptions /images/generations /rerank /v2/rerank /moderations "
    "/models/{model_name:path}:generateContent /v1beta/models/{model_name:path}:streamGenerateContent "
    "/vertex_ai/live /v1/live/sessions",
    "ray": "/v1/chat/completions /v1/completions /v1/embeddings /v1/score /v1/audio/transcriptions",
    "llamacpp": "/completion /completions /v1/completions /chat/completions /v1/chat/completions /v1/responses "
    "/v1/messages /infill /embedding /embeddings /v1/embeddings /rerank /v1/reranking /v1/audio/transcriptions",
    "triton": "/v2/models/{}/infer /v2/models/{}/generate /v2/models/{}/generate_stream /v2/models/{}/versions/{}/infer",
    "dynamo": "/v1/chat/completions /v1/completions /v1/responses /v1/messages /v1/embeddings /v1/classify /v1/pooling "
    "/v1/rerank /v1/realtime /v1/audio/speech /v1/images/generations /v1/images/edits /v1/videos /v1/videos/stream",
    "tgi": "/ /generate /generate_stream /v1/chat/completions /v1/completions /vertex /invocations",
}


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_requests_that_generate_are_gated(engine: str) -> None:
    rules = PathRules()
    paths = {path for name, _, path in ROUTES if name == engine}
    for path in GENERATING[engine].split():
        assert path in paths, f"{path} is no longer a route: refresh this list"
        for method in ("POST", "GET", "PUT", ""):
            assert rules.holds(method, path)


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_the_list_of_an_engine_names_only_routes_of_that_engine(engine: str) -> None:
    paths = {path for name, _, path in ROUTES if name == engine}
    assert set(HARMLESS_PATHS[engine]) <= paths, "no longer a route: drop it"


def test_the_list_of_one_engine_exempts_no_other_route_of_another() -> None:
    """A path that is harmless in one engine may generate tokens in another."""
    common = set(HARMLESS_PATHS["common"])
    leaks = {
        (engine, path)
        for engine, _, path in ROUTES
        if path in HARMLESS and path not in common and path not in HARMLESS_PATHS[engine]
    }
    assert not leaks, "list the path for this engine as well, if it is harmless there"


def test_every_websocket_is_gated() -> None:
    assert not [path for _, method, path in ROUTES if method == "WEBSOCKET" and path in HARMLESS]


@pytest.mark.parametrize(
    "path",
    [
        "/health/",
        "/health",
        "/metrics/",
        "/v1/models",
        "/docs",
        "/pause",
        "/continue_generation",
        "/model/block",
    ],
)
def test_harmless_requests_pass_the_gate(path: str) -> None:
    assert not PathRules().holds("GET", path)
    assert not PathRules().holds("POST", path)


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1/new_route", "/healthx", "/health/x", "//health", "/x/health", "/health/../v1/completions",
     "/HEALTH", "/v1/models/x:predict", "/health;x", "/metrics//"],
)  # fmt: skip
def test_all_other_requests_are_gated(path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "PROPFIND", ""):
        assert PathRules().holds(method, path)
    assert not PathRules().holds("OPTIONS", path), "a browser's preflight never generates"


def test_the_settings_override_the_list() -> None:
    rules = PathRules(
        hold_paths=["/v1/models", "/ui/run*"],
        pass_paths=["/tokenize", "/ui/*", "*/input_tokens", "/v1/models"],
    )
    held = {
        "/v1/models",
        "/ui/run",
        "/ui/run/7",
        "/v1/completions",
        "/tokenized",
        "/ui/../v1/completions",
        "/ui//x",
    }
    passing = {"/tokenize", "/tokenize/", "/ui/x.js", "/v1/responses/input_tokens", "/health"}
    assert {path for path in held | passing if rules.holds("POST", path)} == held


def test_the_settings_can_gate_only_some_paths() -> None:
    rules = PathRules(paths=["/completions", "/messages/"], hold_paths=["/x"], pass_paths=["/y/completions"])
    held = [("POST", "/v1/completions/"), ("POST", "/v1/messages"), ("GET", "/x")]
    assert all(rules.holds(*one) for one in held)
    passing = [("GET", "/v1/completions"), ("POST", "/v1/embeddings"), ("POST", "/y/completions")]
    assert not any(rules.holds(*one) for one in passing)
    everything = PathRules(hold_paths=["*"])
    assert everything.holds("GET", "/health")


def test_a_path_without_a_leading_slash_is_refused() -> None:
    with pytest.raises(ValueError, match="pass_paths: a path begins with / or \\*, got 'health'"):
        PathRules(pass_paths=["health"])


def test_paths_come_from_arguments_or_the_environment() -> None:
    environ = {"X": " /a, /b ,,"}
    assert split_paths(None, "X", environ) == ("/a", "/b")
    assert split_paths("/c,/d", "X", environ) == ("/c", "/d")
    assert split_paths([], "X", environ) == ()
