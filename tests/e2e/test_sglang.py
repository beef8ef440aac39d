"""The SGLang launcher puts the gate in front of SGLang's application in each serving process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from harness.ports import free_port
from harness.process import Process, eventually
from harness.sidecar import Sidecar
from sidecar.client.sglang import ungated

ROOT = Path(__file__).parents[2]
DOUBLE = ROOT / "tests" / "servers" / "sglang_double"


def test_requests_wait_at_the_gate_with_one_and_with_several_processes() -> None:
    with Sidecar({"defaults": {"max_pause_secs": 0}}) as sidecar:
        sidecar.pause("qwen", "too hot")
        environ = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{DOUBLE}",
            "WELLBEING_URL": sidecar.url,
            "WELLBEING_SCOPE": "qwen",
            "WELLBEING_CLIENT_WAIT_SECS": "0.1",
        }
        servers = []
        try:
            for workers in ("1", "2"):
                port = str(free_port())
                command = ["-m", "sidecar.client.sglang", "--port", port, "--tokenizer-worker-num", workers]
                servers.append((port, Process([sys.executable, *command], ROOT, environ)))
            for port, server in servers:
                url = f"http://127.0.0.1:{port}"
                server.wait_ok(f"{url}/health")
                refused = requests.post(f"{url}/generate", json={}, timeout=30)
                assert refused.status_code == 503
                assert "too hot" in refused.text
            sidecar.resume("qwen")
            for port, _ in servers:

                def passes(port: str = port) -> bool:
                    return requests.post(f"http://127.0.0.1:{port}/generate", json={}, timeout=30).ok

                eventually(passes, "the request passes the open gate")
        finally:
            for _, server in servers:
                server.stop()


@pytest.mark.parametrize(
    "argument", ["--grpc-mode", "--smg-grpc-mode", "--encoder-only", "--grpc-port=1", "--grpc_port"]
)
def test_an_option_that_would_bypass_the_gate_is_refused(argument: str) -> None:
    assert argument in ungated(["--model-path", "m", argument])


def test_the_server_in_rust_is_refused() -> None:
    assert "SGLANG_RUST_SERVER" in ungated([], "1")
    assert ungated(["--model-path", "grpc-mode", "--port", "1"], "0") == ""


def test_a_missing_sglang_is_reported_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.client.sglang"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "SGLang is not installed" in done.stderr
