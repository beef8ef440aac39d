"""The real Triton Inference Server on the CPU: series, routes, and a closed gate in front of it, for HTTP and for gRPC."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import requests

from harness.ports import free_port
from harness.proxies import Proxy
from harness.real import PARTS, REAL, RealServer, assert_rules_find, await_answer, needs
from harness.sidecar import Sidecar
from sidecar.client.harmless_paths import HARMLESS_PATHS

pytestmark = needs("triton", "triton/ready-0.7.0")
BODY = {"inputs": [{"name": "number", "datatype": "FP32", "shape": [1, 1], "data": [21.0]}]}
# Triton has this series for models that answer in several parts, if an option enables it.
APART = "nv_inference_first_response_histogram_ms_bucket"
CONFIG = {"max_pause_secs": 0}


@dataclass(frozen=True)
class Parts:
    """The sidecar, and the addresses of Triton, its metrics, nginx in front of its HTTP API, and Envoy in front of its gRPC API."""

    sidecar: Sidecar
    triton: str
    metrics: str
    gated: str
    gated_grpc: str


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("triton")
    port, metrics, grpc = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    command = [REAL / "triton" / "bin" / "python", PARTS / "triton_model.py", port, metrics, grpc]
    # PyTriton unpacks files into its home directory; its programs are linked to Python's library.
    environ = {"PYTRITON_HOME": str(folder), "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR")}
    with ExitStack() as stack:
        stack.enter_context(RealServer(command, f"{url}/v2/models/m/ready", folder, **environ))
        sidecar = stack.enter_context(Sidecar({"defaults": CONFIG}))
        nginx = Proxy("nginx", folder / "nginx", (free_port(), sidecar.where[1], port))
        # Change the config as the guide says.
        http2 = ("{http_protocol_options: {}}", "{http2_protocol_options: {}}")
        envoy = Proxy("envoy", folder / "envoy", (free_port(), sidecar.where[1], grpc), http2)
        for proxy in (nginx, envoy):
            stack.enter_context(proxy)
            await_answer(proxy.url)
        address = envoy.url.removeprefix("http://")
        yield Parts(sidecar, url, f"http://127.0.0.1:{metrics}/metrics", nginx.url, address)


def infer(url: str) -> list[float]:
    answer = requests.post(f"{url}/v2/models/m/infer", json=BODY, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"][0]["data"]


def infer_by_grpc(address: str) -> str:
    command = [REAL / "triton" / "bin" / "python", PARTS / "triton_grpc.py", address]
    return subprocess.run(command, check=True, text=True, capture_output=True, timeout=200).stdout.strip()


def test_a_scrape_has_the_series_and_labels_of_the_rules(parts: Parts) -> None:
    assert infer(parts.triton) == [42.0]
    assert_rules_find(
        "triton", r"nv_\w+", lambda: requests.get(parts.metrics, timeout=30).text, {"model", "version"}, APART
    )


def test_the_paths_that_pass_a_closed_gate_are_routes_of_triton(parts: Parts) -> None:
    for path in HARMLESS_PATHS["triton"]:
        found = {
            requests.request(method, parts.triton + path, timeout=30).status_code
            for method in ("GET", "POST")
        }
        assert found != {404}, path


def test_a_closed_gate_parks_a_request_and_a_resume_wakes_it(parts: Parts) -> None:
    scope = "nginx/llama"
    parts.sidecar.pause(scope, "too hot")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(infer, parts.gated)
        parts.sidecar.wait_for_waiters(scope, 1)
        assert requests.get(f"{parts.gated}/v2/health/ready", timeout=30).ok
        parts.sidecar.resume(scope)
        assert waiting.result() == [42.0]


def test_a_closed_gate_parks_a_grpc_call_and_a_resume_wakes_it(parts: Parts) -> None:
    scope = "envoy/llama"
    parts.sidecar.pause(scope, "too hot")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(infer_by_grpc, parts.gated_grpc)
        parts.sidecar.wait_for_waiters(scope, 1)
        parts.sidecar.resume(scope)
        assert waiting.result() == "42.0"


def test_a_grpc_call_whose_wait_times_out_gets_unavailable_and_the_reason(parts: Parts) -> None:
    parts.sidecar.configure({"defaults": {**CONFIG, "wait_timeout_secs": 0.3}})
    parts.sidecar.ok_reload()
    parts.sidecar.pause("envoy/llama", "too hot")
    refusal = infer_by_grpc(parts.gated_grpc)
    assert refusal.startswith("StatusCode.UNAVAILABLE "), refusal
    assert "inference paused due to wellbeing intervention: too hot" in refusal
