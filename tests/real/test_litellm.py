"""The real LiteLLM proxy before a real llama-server: its series, the gate in it, the alerts of its groups, and its block of a model.

Its database is a real PostgreSQL, with LiteLLM's own migrations, behind Prisma's client and engine (prisma_engine.js).
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

from demo.environment import shipped_rules
from harness.monitoring import Alertmanager, Prometheus
from harness.ports import free_port
from harness.postgresql import PostgreSQL
from harness.process import eventually
from harness.real import PARTS, REAL, RealServer, assert_rules_find, needs
from harness.sidecar import Sidecar

pytestmark = [needs("litellm", "litellm/ready-1.110.2-0.15.0"), needs("llama", "llama-server")]
ROOT = Path(__file__).parents[2]
KEY = "sk-a-key-of-the-test"
HEADERS = {"Authorization": f"Bearer {KEY}"}
FASTER = 60.0
"""The times of the shipped rules are divided by it."""
GROUP, BROKEN, BLOCKED = "gpt", "broken", "blocked"
"""Three model groups: of two deployments, of one that nothing answers, and one for the driver."""
FAILURES = "litellm_deployment_failure_responses_total"
MAX_WAITING = 2


@dataclass(frozen=True)
class Parts:
    """The sidecar, the database, and the address of the proxy."""

    sidecar: Sidecar
    database: PostgreSQL
    url: str


def models(port: int) -> list[dict]:
    """LiteLLM's models in the format of its API, with llama-server on ``port``."""

    def model(name: str, group: str, port: int) -> dict:
        params = {
            "model": f"openai/{name}",
            "api_base": f"http://127.0.0.1:{port}/v1",
            "api_key": "none",
            "max_retries": 0,
        }
        return {"model_name": group, "litellm_params": params, "model_info": {"id": f"id-{name}"}}

    return [
        model("m-1", GROUP, port),
        model("m-2", GROUP, port),
        model("nowhere", BROKEN, free_port()),
        model("m-3", BLOCKED, port),
    ]


def gated_litellm(folder: Path, port: int, gate: str, database: PostgreSQL) -> RealServer:
    """LiteLLM's proxy behind the middleware, with the config and the data of ``folder``."""
    # The program of docs/how-to/litellm.md.
    guide = (ROOT / "docs" / "how-to" / "litellm.md").read_text()
    program = guide.split("```python\n")[1].split("```")[0]
    (folder / "gated_litellm.py").write_text(program.replace("http://127.0.0.1:9477", gate))
    database.sql((REAL / "prisma" / "migrations.sql").read_text())
    query_engine = folder / "query-engine"
    query_engine.write_text(f'#!/bin/sh\nexec {REAL}/prisma/node {PARTS}/prisma_engine.js "$@"\n')
    query_engine.chmod(0o755)
    environ = {
        "DATABASE_URL": database.url,
        "PRISMA_QUERY_ENGINE_BINARY": str(query_engine),
        "PRISMA_MODULES": str(REAL / "prisma"),
        "PYTHONPATH": f"{ROOT}:{folder}",
        "CONFIG_FILE_PATH": str(folder / "config.yaml"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "WELLBEING_CLIENT_SCOPE_FROM_MODEL": "true",
        "WELLBEING_CLIENT_WAIT_SECS": "120",
        "WELLBEING_CLIENT_MAX_WAITING": str(MAX_WAITING),
    }
    python = REAL / "litellm" / "bin" / "python"
    command = [python, "-m", "uvicorn", "gated_litellm:app", "--host", "127.0.0.1", "--port", port]
    return RealServer(command, f"http://127.0.0.1:{port}/health/liveliness", folder, **environ)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("litellm")
    engine, port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "key").write_text(KEY)
    config = {
        "litellm_settings": {"callbacks": ["prometheus"], "num_retries": 0},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY, "store_model_in_db": True},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    llama = [REAL / "llama-server", "-m", REAL / "model.gguf", "--host", "127.0.0.1", "--port", engine]
    llama += ["--alias", "m", "-np", 1, "-c", 2048, "-t", 1, "-tb", 1]
    driver = {
        "scope": "driver/blocked",
        "kind": "litellm",
        "name": "litellm",
        "url": url,
        "model": BLOCKED,
        "bearer_token_file": str(folder / "key"),
        "check_secs": 1,
        "timeout_secs": 60,
    }
    policy = {"max_pause_secs": 0, "pause_on_distressed": True}
    with ExitStack() as stack:
        stack.enter_context(RealServer(llama, f"http://127.0.0.1:{engine}/health", folder))
        sidecar = stack.enter_context(Sidecar({"defaults": policy, "engines": [driver]}))
        alertmanager = stack.enter_context(Alertmanager(f"{sidecar.url}/v1/alerts"))
        scrape = {
            "job_name": "litellm",
            "scrape_interval": "1s",
            "authorization": {"credentials_file": str(folder / "key")},
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "team-a"}}],
        }
        stack.enter_context(
            Prometheus(
                {"sidecar": sidecar.address},
                shipped_rules(FASTER, "litellm"),
                alertmanager.address,
                scrape_configs=[scrape],
            )
        )
        database = stack.enter_context(PostgreSQL())
        stack.enter_context(gated_litellm(folder, port, sidecar.url, database))
        for one in models(engine):
            answer = requests.post(f"{url}/model/new", json=one, headers=HEADERS, timeout=60)
            assert answer.ok, answer.text
        yield Parts(sidecar, database, url)


def chat(url: str, model: str = GROUP, *, stream: bool = False) -> requests.Response:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 2,
        "stream": stream,
    }
    return requests.post(f"{url}/v1/chat/completions", json=body, headers=HEADERS, timeout=120, stream=stream)


def test_a_scrape_has_the_series_and_labels_of_the_rules(parts: Parts) -> None:
    # LiteLLM chooses a deployment at random for each request.
    for _ in range(4):
        assert chat(parts.url).ok
    with chat(parts.url, stream=True) as stream:
        assert b"[DONE]" in stream.content
    assert chat(parts.url, BROKEN).status_code >= 500
    refused = requests.get(f"{parts.url}/metrics", timeout=30)
    assert refused.status_code == 401, "with a master key, a scrape needs a key"

    def scrape() -> str:
        return requests.get(f"{parts.url}/metrics", headers=HEADERS, timeout=30).text

    assert_rules_find("litellm", r"litellm_(?:deployment|llm_api)_\w+", scrape, set())
    assert f'model_group="{GROUP}"' in scrape()


def test_the_middleware_in_the_proxy_parks_a_request_for_a_group_and_wakes_it(parts: Parts) -> None:
    parts.sidecar.pause(f"team-a/{GROUP}", "too hot")
    with ThreadPoolExecutor(MAX_WAITING) as pool:
        waiting = [pool.submit(chat, parts.url) for _ in range(MAX_WAITING)]
        parts.sidecar.wait_for_metric(f'wellbeing_waiters{{scope="team-a/{GROUP}"}}', MAX_WAITING)
        assert not any(one.done() for one in waiting)
        refused = chat(parts.url)
        assert refused.status_code == 503, refused.text
        assert refused.headers["Retry-After"]
        assert requests.get(f"{parts.url}/v1/models", headers=HEADERS, timeout=30).ok
        assert chat(parts.url, BLOCKED).ok, "another group is open"
        parts.sidecar.resume(f"team-a/{GROUP}")
        assert all(one.result().ok for one in waiting)


def blocked_rows(parts: Parts) -> str:
    return parts.database.sql('SELECT model_id FROM "LiteLLM_ProxyModelTable" WHERE blocked')


def test_the_driver_blocks_a_group_through_the_api_and_unblocks_it(parts: Parts) -> None:
    assert chat(parts.url, BLOCKED).ok
    parts.sidecar.pause("driver/blocked", "look at it")
    parts.sidecar.wait_for_metric('wellbeing_engine_paused{engine="litellm",scope="driver/blocked"}', 1)
    listed = requests.get(f"{parts.url}/model/info", headers=HEADERS, timeout=30).json()["data"]
    assert {one["model_info"]["id"] for one in listed if one["model_info"]["blocked"]} == {"id-m-3"}
    assert blocked_rows(parts) == "id-m-3"
    refused = chat(parts.url, BLOCKED)
    assert (refused.status_code, "Model is blocked" in refused.text) == (403, True), refused.text
    exposed = requests.get(f"{parts.url}/metrics", headers=HEADERS, timeout=30).text
    failures = [line for line in exposed.splitlines() if line.startswith(FAILURES)]
    assert not any(f'model_group="{BLOCKED}"' in line for line in failures), (
        "a refusal does not count as a failure"
    )
    assert chat(parts.url).ok, "another group is not blocked"
    parts.sidecar.resume("driver/blocked")
    eventually(lambda: chat(parts.url, BLOCKED).ok, "the group is unblocked")
    assert blocked_rows(parts) == ""


def test_an_alert_for_a_group_closes_the_gate_of_its_requests(parts: Parts) -> None:
    scope = f"team-a/{BROKEN}"

    def is_held() -> bool:
        # Without timeouts, requests at the gate would use up the places for waiting requests.
        if parts.sidecar.status(scope)["gate"] == "open":
            assert chat(parts.url, BROKEN).status_code >= 500
        return parts.sidecar.status(scope)["gate"] == "closed"

    eventually(is_held, "the failures closed the gate of the group", 120)
    signals = parts.sidecar.status(scope)["signals"]
    assert "LitellmGroupErrorRatioHigh" in [one["alertname"] for one in signals]
    assert parts.sidecar.status(f"team-a/{GROUP}")["gate"] == "open"
    # The deployment receives no requests any more, so the alert resolves.
    parts.sidecar.wait_for_gate(scope, "open")
