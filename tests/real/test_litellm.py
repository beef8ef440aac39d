"""The real LiteLLM proxy before a real llama-server: its series, and the gate as a middleware in the proxy.

Blocking a model needs LiteLLM's database (PostgreSQL), which is not here: tests/real/test_sources.py reads those routes instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from harness.process import free_port
from harness.real import REAL, RealServer, assert_rules_find, needs
from harness.sidecar import Sidecar

pytestmark = [needs("litellm", "litellm/ready-1.109.1"), needs("llama", "llama-server")]
ROOT = Path(__file__).parents[2]
KEY = "sk-a-key-of-the-test"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True)
class Parts:
    """The sidecar, and the address of the proxy."""

    sidecar: Sidecar
    url: str


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("litellm")
    engine, port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    # The program of docs/how-to/litellm.md.
    guide = (ROOT / "docs" / "how-to" / "litellm.md").read_text()
    (folder / "gated_litellm.py").write_text(guide.split("```python\n")[1].split("```")[0])
    params = {"model": "openai/m", "api_base": f"http://127.0.0.1:{engine}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "gpt", "litellm_params": params}],
        "litellm_settings": {"callbacks": ["prometheus"]},
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    llama = [REAL / "llama-server", "-m", REAL / "model.gguf", "--host", "127.0.0.1", "--port", engine]
    llama += ["--alias", "m", "-np", 1, "-c", 2048, "-t", 1, "-tb", 1]
    with ExitStack() as stack:
        stack.enter_context(RealServer(llama, f"http://127.0.0.1:{engine}/health", folder))
        sidecar = stack.enter_context(Sidecar({"defaults": {"max_pause_secs": 0}}))
        text = (folder / "gated_litellm.py").read_text()
        (folder / "gated_litellm.py").write_text(text.replace("http://127.0.0.1:9477", sidecar.url))
        environ = {
            "PYTHONPATH": f"{ROOT}:{folder}",
            "CONFIG_FILE_PATH": str(folder / "config.yaml"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "WELLBEING_CLIENT_SCOPE_FROM_MODEL": "true",
            "WELLBEING_CLIENT_WAIT_SECS": "120",
        }
        command = [
            REAL / "litellm" / "bin" / "python",
            "-m",
            "uvicorn",
            "gated_litellm:app",
            "--host",
            "127.0.0.1",
        ]
        stack.enter_context(
            RealServer([*command, "--port", port], f"{url}/health/liveliness", folder, **environ)
        )
        yield Parts(sidecar, url)


def chat(url: str, *, stream: bool = False) -> requests.Response:
    body = {
        "model": "gpt",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "stream": stream,
    }
    return requests.post(f"{url}/v1/chat/completions", json=body, headers=HEADERS, timeout=120, stream=stream)


def test_the_rules_series_are_in_a_scrape_by_name_and_label(parts: Parts) -> None:
    assert chat(parts.url).ok
    with chat(parts.url, stream=True) as stream:
        assert b"[DONE]" in stream.content
    refused = requests.get(f"{parts.url}/metrics", timeout=30)
    assert refused.status_code == 401, "with a master key, a scrape needs a key"

    def scrape() -> str:
        return requests.get(f"{parts.url}/metrics", headers=HEADERS, timeout=30).text

    # No request has failed.
    apart = "litellm_deployment_failure_responses_total"
    assert_rules_find("litellm", r"litellm_(?:deployment|llm_api)_\w+", scrape, set(), apart)


def test_the_middleware_in_the_proxy_holds_a_request_for_a_model_and_wakes_it(parts: Parts) -> None:
    parts.sidecar.pause("team-a/gpt", "too hot")
    assert parts.sidecar.status("team-a/gpt")["gate"] == "closed"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(chat, parts.url)
        parts.sidecar.wait_for_metric('wellbeing_waiters{scope="team-a/gpt"}', 1)
        assert not waiting.done()
        assert requests.get(f"{parts.url}/v1/models", headers=HEADERS, timeout=30).ok
        parts.sidecar.resume("team-a/gpt")
        assert waiting.result().ok
