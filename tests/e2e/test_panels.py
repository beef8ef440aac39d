"""Runs every panel's query, with its variables filled in, in a real Prometheus that scraped a real sidecar
and the metrics of engines."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.build import BOARDS, rendered
from harness.engines import EngineStub
from harness.get_server import GetServer
from harness.monitoring import Alertmanager, Prometheus
from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar
from sidecar.client import Gate

ROOT = Path(__file__).parents[2]
SCOPE = "team/model"
FIXTURE = ROOT / "tests" / "fixtures" / "alertmanager" / "01_single_firing.json"
# Panels that are empty while no fault is present.
MAY_BE_EMPTY = {"Reconciliation"}
DOCUMENTED = set(re.findall(r"`(wellbeing_\w+)`", (ROOT / "docs" / "reference" / "metrics.md").read_text()))
# Metrics without series until a task has failed or a priority starves, or without a watchdog, a restriction
# or Redis.
MAY_BE_ABSENT = {
    "wellbeing_admit_per_second",
    "wellbeing_priority_starved_seconds",
    "wellbeing_task_failures_total",
    "wellbeing_watchdog_heard",
    *(name for name in DOCUMENTED if name.startswith("wellbeing_fleet_")),
}


class EngineMetrics(GetServer):
    """Exposes metrics of vLLM and of Dynamo whose counters grow."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def respond(self, *_: object) -> tuple[int, bytes]:
        grown = 1 + 10 * (time.monotonic() - self._began)
        lines = []
        for name, kind in (
            ("num_requests_running", "gauge"),
            ("num_requests_waiting", "gauge"),
            ("kv_cache_usage_perc", "gauge"),
            ("prompt_tokens_total", "counter"),
            ("generation_tokens_total", "counter"),
        ):
            value = 0.5 if kind == "gauge" else grown
            lines += [
                f"# TYPE vllm:{name} {kind}",
                f'vllm:{name}{{model_name="m",engine="0"}} {value}',
            ]
        lines.append("# TYPE vllm:request_success_total counter")
        lines.append(
            f'vllm:request_success_total{{model_name="m",engine="0",finished_reason="stop"}} {grown}'
        )
        for name in ("time_to_first_token_seconds", "request_queue_time_seconds"):
            labels = 'model_name="m",engine="0"'
            lines.append(f"# TYPE vllm:{name} histogram")
            lines += [f'vllm:{name}_bucket{{{labels},le="{le}"}} {grown}' for le in ("1", "+Inf")]
            lines += [
                f"vllm:{name}_sum{{{labels}}} {grown}",
                f"vllm:{name}_count{{{labels}}} {grown}",
            ]
        for name in ("queued_requests", "active_requests", "model_ready"):
            lines += [f"# TYPE dynamo_frontend_{name} gauge", f'dynamo_frontend_{name}{{model="d"}} 1']
        for name, labels in (("output_tokens", ""), ("requests", ',status="success",error_type=""')):
            lines.append(f"# TYPE dynamo_frontend_{name}_total counter")
            lines.append(f'dynamo_frontend_{name}_total{{model="d"{labels}}} {grown}')
        for name in ("time_to_first_token", "inter_token_latency"):
            lines.append(f"# TYPE dynamo_frontend_{name}_seconds histogram")
            lines += [
                f'dynamo_frontend_{name}_seconds_bucket{{model="d",le="{le}"}} {grown}'
                for le in ("1", "+Inf")
            ]
        return 200, ("\n".join(lines) + "\n").encode()


def recording() -> list[dict]:
    """The groups with recording rules; other tests check the alerts."""
    found = []
    for subject in ("thresholds", "sidecar"):
        groups = yaml.safe_load((ROOT / "alerts" / f"{subject}.rules.yml").read_text())["groups"]
        found += [{**group, "interval": "1s"} for group in groups if group["name"] != "wellbeing-sidecar"]
    return found


def config_of(alertmanager_url: str, engine_url: str) -> dict[str, Any]:
    """The config of a sidecar that has all of the series."""
    engine = {"scope": SCOPE, "kind": "vllm", "url": engine_url, "name": "engine", "sleep_after_secs": 3600}
    return {
        "defaults": {"pause_on_distressed": True},
        # A poll may be faster than a notification. An alert that is known only from polls ends when
        # Alertmanager no longer lists it.
        "alerts": {
            "alertmanager_urls": [alertmanager_url],
            "reconcile_secs": 1,
            "alertmanager": {"min_uptime_secs": 1},
        },
        "engines": [engine],
        # No server listens there; only its series matter.
        "hooks": [{"name": "hook", "url": "http://127.0.0.1:1/"}],
    }


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[Prometheus]:
    with ExitStack() as stack:
        port = free_port()
        alertmanager = stack.enter_context(Alertmanager(f"http://127.0.0.1:{port}/v1/alerts"))
        engine = stack.enter_context(EngineStub("vllm"))
        config = config_of(alertmanager.url, engine.url)
        folder = tmp_path_factory.mktemp("dashboards")
        sidecar = stack.enter_context(Sidecar(config, store="sqlite:state.db", folder=folder, port=port))
        engines = stack.enter_context(EngineMetrics())
        targets = {"wellbeing-sidecar": sidecar.address, "engines": engines.address}
        prometheus = stack.enter_context(Prometheus(targets, recording(), alertmanager.address))
        gate = stack.enter_context(Gate(sidecar.url, scope=SCOPE, report_secs=0.5))
        eventually_equal(
            lambda: prometheus.value(f'wellbeing_paused{{scope="{SCOPE}"}}'),
            0,
            "Prometheus has scraped the target",
        )
        for _ in range(2):
            alertmanager.fire("Bad", severity="critical", wellbeing_scope=SCOPE)
            sidecar.wait_for_gate(SCOPE, "closed")
            sidecar.gate(SCOPE, wait=0)
            eventually(lambda: not gate.is_open, "the client sees the closed gate")
            eventually_equal(
                lambda: prometheus.value(f'wellbeing_paused{{scope="{SCOPE}"}}'),
                1,
                "Prometheus has scraped the target",
            )
            alertmanager.resolve("Bad", severity="critical", wellbeing_scope=SCOPE)
            sidecar.wait_for_gate(SCOPE, "open")
            eventually_equal(
                lambda: prometheus.value(f'wellbeing_paused{{scope="{SCOPE}"}}'),
                0,
                "Prometheus has scraped the target",
            )
        sidecar.claim(SCOPE, "distressed")
        sidecar.gate(SCOPE, wait=0)
        eventually_equal(
            lambda: prometheus.value(f'wellbeing_paused{{scope="{SCOPE}"}}'),
            1,
            "Prometheus has scraped the target",
        )
        yield prometheus


def filled_in(expression: str) -> str:
    for name, value in {
        "$scope": SCOPE,
        "$model": ".*",
        "$dynamo_model": ".*",
        "$cluster": ".*",
        "$instance": ".*",
        "$__rate_interval": "15s",
    }.items():
        expression = expression.replace(name, value)
    return expression


def queries() -> list:
    found = []
    for board in BOARDS:
        raw = json.loads(rendered(board))
        for panel in raw["panels"]:
            for target in panel.get("targets", ()):
                name = f"{board.uid}:{panel['title']}:{target['refId']}"
                found.append(pytest.param(panel["title"], target["expr"], id=name))
        found += [
            pytest.param(one["name"], one["expr"], id=f"{board.uid}:annotation:{one['name']}")
            for one in raw.get("annotations", {}).get("list", ())
            if "expr" in one
        ]
    return found


@pytest.mark.parametrize(("title", "expression"), queries())
def test_a_query_returns_series(prometheus: Prometheus, title: str, expression: str) -> None:
    expression = filled_in(expression)
    names = set(re.findall(r"\b(?:wellbeing|vllm|dynamo)[a-z0-9_:]+", expression))
    if title in MAY_BE_EMPTY or "> 0" in expression or names & MAY_BE_ABSENT:
        prometheus.query(expression)  # the query is valid PromQL
        assert all(prometheus.query(name) for name in names - MAY_BE_ABSENT)
    else:
        eventually(lambda: prometheus.query(expression), expression)


def test_a_wrong_metric_name_is_caught(prometheus: Prometheus) -> None:
    assert prometheus.query(filled_in('wellbeing_state_levle{scope="$scope"}')) == []
