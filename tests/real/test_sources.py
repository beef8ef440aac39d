"""The current sources of the engines, which `make real` fetches, have everything that drivers, launcher and
rules rely on.

Without the sources these tests are skipped: the sources are not fetched for every change.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from harness.real import REAL, needs
from harness.rules import FILES
from sidecar.client import sglang

SOURCES = REAL / "sources"
pytestmark = needs("sources", "sources/ready")


def source(path: str) -> str:
    return (SOURCES / path).read_text()


def routes(path: str) -> set[tuple[str, str]]:
    """The method and the path of each route that a decorator in a file declares."""
    found = set()
    for node in ast.walk(ast.parse(source(path))):
        if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        for one in node.decorator_list:
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.args:
                target = one.args[0]
                if isinstance(target, ast.Constant) and isinstance(target.value, str):
                    found.add((one.func.attr, target.value))
    return found


def parameters(path: str, function: str) -> set[str]:
    for node in ast.walk(ast.parse(source(path))):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name == function:
            return {one.arg for one in node.args.args}
    raise AssertionError(f"{path} has no function {function}")


def test_vllm_has_the_routes_of_its_driver() -> None:
    online = "vllm/entrypoints/rl/online/api_router.py"
    assert {("post", "/pause"), ("post", "/resume"), ("get", "/is_paused")} <= routes(online)
    assert {"mode", "clear_cache"} <= parameters(online, "pause_generation")
    dev = "vllm/entrypoints/serve/dev/sleep/api_router.py"
    assert {("post", "/sleep"), ("post", "/wake_up")} <= routes(dev)
    assert {"level", "mode"} <= parameters(dev, "sleep")


def test_vllm_keeps_its_requests_while_it_sleeps_and_a_repeated_wake_up_is_harmless() -> None:
    core = source("vllm/v1/engine/core.py")
    assert "pause_scheduler(mode=mode, clear_cache=clear_prefix_cache)" in core
    executor = source("vllm/v1/executor/abstract.py")
    assert re.search(r"def wake_up.*?if not self\.is_sleeping:.*?return", executor, re.DOTALL)


def test_the_guide_names_each_way_in_which_vllm_serves_without_its_middleware() -> None:
    serve = source("vllm/entrypoints/cli/serve.py")
    launchers = set(re.findall(r"from vllm\.entrypoints\.launchers\.(\w+)", serve))
    assert launchers == {"api_server", "dp_supervisor", "grpc_server", "launcher"}
    managers = set(re.findall(r"\b\w+ProcessManager\b", serve))
    assert managers == {"APIServerProcessManager", "RustFrontendProcessManager"}
    assert "args.middleware" in source("vllm/entrypoints/serve/middleware/register.py")
    assert "init_entrypoints_middleware(args" in source("vllm/entrypoints/launchers/app.py")
    # These two functions do not build that application.
    assert "middleware" not in source("vllm/entrypoints/launchers/grpc_server.py")
    assert "envs.VLLM_USE_RUST_FRONTEND" in serve
    guide = (Path(__file__).parents[2] / "docs/how-to/vllm.md").read_text()
    assert "| `--grpc` |" in guide
    assert "| `VLLM_USE_RUST_FRONTEND=1` |" in guide


def test_sglang_serves_the_application_that_the_launcher_wraps() -> None:
    server = source("sglang/srt/entrypoints/http_server.py")
    names = [
        target.id
        for node in ast.parse(server).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert "app" in names
    assert "SGLANG_HTTP_SERVER_APP_PATH.get()" in server
    assert sglang._APP_PATH in source("sglang/srt/environ.py")
    main = source("sglang/launch_server.py")
    assert 'if __name__ == "__main__":' in main
    assert "prepare_server_args(sys.argv[1:])" in main


def test_the_launcher_refuses_each_option_by_which_sglang_bypasses_its_application() -> None:
    main = source("sglang/launch_server.py")
    modes = set(re.findall(r"cfg\.(\w+)", main)) - {"use_ray"}
    flags = {"--" + mode.replace("_", "-") for mode in modes}
    assert flags <= set(sglang._UNGATED), flags
    assert sglang._RUST_SERVER in source("sglang/srt/entrypoints/http_server.py")


def test_sglang_has_the_routes_of_its_driver() -> None:
    server = routes("sglang/srt/entrypoints/http_server.py")
    paths = {path for _, path in server}
    assert {"/pause_generation", "/continue_generation"} <= paths


def test_ray_has_the_routes_of_its_driver_and_its_sleep_aborts() -> None:
    mixin = source("ray/llm/_internal/serve/core/ingress/mixins/pausable.py")
    assert {'post("/pause")', 'post("/resume")', 'get("/is_paused")'} <= set(
        re.findall(r'\w+\("/\w+"\)', mixin)
    )
    engine = source("ray/llm/_internal/serve/engines/vllm/vllm_engine.py")
    # This route has no mode and would abort kept requests, so the driver does not use the route.
    assert "self._engine_client.sleep(level=config.level)" in engine
    assert re.search(r"class VLLMPauseConfig.*?mode.*?clear_cache", engine, re.DOTALL)


def test_litellm_has_the_routes_of_its_driver() -> None:
    models = "litellm/proxy/management_endpoints/model_management_endpoints.py"
    assert {("post", "/model/block"), ("post", "/model/unblock")} <= routes(models)
    proxy = source("litellm/proxy/proxy_server.py")
    assert ("get", "/model/info") in routes("litellm/proxy/proxy_server.py")
    assert 'model.model_info["blocked"]' in proxy


def test_dynamo_has_the_routes_of_its_driver() -> None:
    factory = source("dynamo/vllm/worker_factory.py")
    assert {'"pause_generation"', '"resume_generation"'} <= set(re.findall(r'"\w+"', factory))
    handlers = source("dynamo/vllm/handlers.py")
    assert 'mode = body.get("mode", "keep")' in handlers
    assert '"status": "error"' in handlers
    base = source("dynamo/sglang/request_handlers/handler_base.py")
    assert '("pause_generation", "pause_generation:tm")' in base
    assert '("continue_generation", "continue_generation:tm")' in base


@pytest.mark.parametrize(
    "family",
    sorted(
        {
            name
            for group in FILES["vllm"]
            for rule in group["rules"]
            for name in re.findall(r"\bvllm:(\w+)", rule["expr"])
        }
    ),
)
def test_vllm_names_each_series_of_its_rules(family: str) -> None:
    text = "".join(path.read_text() for path in (SOURCES / "vllm" / "v1" / "metrics").glob("*.py"))
    bare = re.sub(r"_(bucket|sum|count|total)$", "", family)
    assert f'"vllm:{bare}' in text
