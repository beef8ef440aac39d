"""Runs two pods of the overlays at separate addresses, with a real Prometheus and a real Alertmanager.

Rules, scraping, routing, credentials, configs and environments are those of the built objects. Only addresses
and folders differ, the rules' delays are shorter, and the engines are servers with vLLM's flag and metrics.
"""

from __future__ import annotations

import os
import random
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import requests
import yaml

from harness.get_server import GetServer
from harness.kubernetes import (
    KUBERNETES,
    Object,
    container_of,
    environment,
    find,
    kustomize,
    sidecar_config,
)
from harness.monitoring import Alertmanager, Prometheus
from harness.ports import free_port
from harness.process import Process, eventually
from harness.sidecar import Sidecar

ROOT = KUBERNETES.parents[1]
MODEL = "Qwen/Qwen3-8B"
NAMESPACE = "team-a"
PODS = ("qwen-6d5f9-a", "qwen-6d5f9-b")
TOKENS = {name: f"the-token-of-{name}" for name in ("alertmanager", "operator", "prometheus", "worker")}
OPERATOR = {"Authorization": f"Bearer {TOKENS['operator']}"}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


class Metrics(GetServer):
    """The metrics of a vLLM: the number of waiting and of running requests."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.running = 0, 1

    def respond(self, *_: object) -> tuple[int, bytes]:
        labels = f'{{model_name="{MODEL}",engine="0"}}'
        values = (("num_requests_waiting", self.waiting), ("num_requests_running", self.running))
        lines = (f"# TYPE vllm:{name} gauge\nvllm:{name}{labels} {value}\n" for name, value in values)
        return 200, "".join(lines).encode()


class Cluster:
    """The pods of an overlay, with Prometheus and Alertmanager configured by the operator's objects."""

    def __init__(self, overlay: str, folder: Path) -> None:
        self.objects = kustomize(KUBERNETES / "overlays" / overlay)
        self.operator = kustomize(KUBERNETES / "operator") + kustomize(KUBERNETES / "operator" / "gate")
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        for name, token in TOKENS.items():
            (self.tokens / name).write_text(token)
        self.stack = ExitStack()
        network = f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
        self.addresses = {pod: f"{network}.{number}" for number, pod in enumerate((*PODS, "gate"), 2)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.close()

    def sidecar(self, workload: str, name: str, pod: str, alertmanager: str, **more: str) -> Sidecar:
        """The container that runs the sidecar in ``pod``, with ``more`` in its environment."""
        deployment = find(self.objects, "Deployment", workload)
        container = container_of(deployment, name)
        text = sidecar_config(self.objects, deployment, container)
        text = re.sub(r"(127\.0\.0\.1|0\.0\.0\.0):", f"{self.addresses[pod]}:", text)
        text = text.replace("/etc/wellbeing/tokens", str(self.tokens))
        text = text.replace("http://alertmanager-operated.monitoring.svc:9093", f"http://{alertmanager}")
        env = environment(container, NAMESPACE, pod)
        # Otherwise the sidecar ignores missing alerts for five minutes after Alertmanager's start.
        env["WELLBEING_ALERTS__ALERTMANAGER__MIN_UPTIME_SECS"] = "0"
        env |= more
        folder = self.folder / pod
        folder.mkdir()
        running = self.stack.enter_context(
            Sidecar(yaml.safe_load(text), env, store="sqlite:wellbeing.db", folder=folder, listen_flag=False)
        )
        port = container["ports"][0]["containerPort"]
        running.url = f"http://{self.addresses[pod]}:{port}"
        running.session.headers.update(OPERATOR)
        return running

    def worker(self, pod: str, gate: str) -> str:
        """The server in ``pod``, started with the manifest's middleware and environment; its URL."""
        container = container_of(find(self.objects, "Deployment", "qwen"), "vllm")
        env = environment(container, NAMESPACE, pod)
        env["WELLBEING_URL"] = re.sub(r"//[^:/]+:", f"//{self.addresses[gate]}:", env["WELLBEING_URL"])
        if "WELLBEING_TOKEN_FILE" in env:
            env["WELLBEING_TOKEN_FILE"] = str(self.tokens / Path(env["WELLBEING_TOKEN_FILE"]).name)
        env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests' / 'servers'}"
        env["HOME"] = str(self.folder)
        middleware = container["args"][container["args"].index("--middleware") :]
        port = free_port()
        command = [sys.executable, str(ROOT / "tests" / "servers" / "openai_asgi.py"), str(port), *middleware]
        process = Process(command, self.folder, {"PATH": os.environ["PATH"], **env})
        self.stack.callback(process.__exit__)
        url = f"http://127.0.0.1:{port}"
        process.wait_ok(f"{url}/health")
        return url

    def engine(self) -> Metrics:
        return self.stack.enter_context(Metrics())

    def prometheus(
        self, alertmanager: str, engines: dict[str, Metrics], scraped: dict[str, str]
    ) -> Prometheus:
        """A Prometheus with every PrometheusRule and the scrape configs of the monitors.

        Args:
            engines: the addresses of the engines by pod, for the PodMonitor of vLLM.
            scraped: addresses of sidecars by pod.
        """
        rules = [one for one in self.operator if one["kind"] == "PrometheusRule"]
        groups = yaml.safe_load(
            re.sub(r"(for: )\d+[smhd]$", r"\g<1>1s", yaml.safe_dump([g for one in rules for g in one["spec"]["groups"]]), flags=re.MULTILINE)
        )  # fmt: skip
        configs = [self._scrape("vllm", pod, one.address) for pod, one in engines.items()]
        configs += [
            self._scrape("wellbeing-gate" if pod == "gate" else "wellbeing-sidecar", pod, address)
            for pod, address in scraped.items()
        ]
        return self.stack.enter_context(Prometheus({}, groups, alertmanager, scrape_configs=configs))

    def _scrape(self, monitor: str, pod: str, address: str) -> dict[str, Any]:
        """The scrape config of a monitor for one of its targets."""
        (found,) = [
            one
            for one in self.operator
            if one["kind"].endswith("Monitor") and one["metadata"]["name"] == monitor
        ]
        (endpoint,) = found["spec"].get("podMetricsEndpoints") or found["spec"]["endpoints"]
        labels = {"namespace": NAMESPACE, "pod": pod}
        config = {
            "job_name": f"{monitor}/{pod}",
            "metrics_path": endpoint["path"],
            "static_configs": [{"targets": [address], "labels": labels}],
        }
        if "authorization" in endpoint:
            config["authorization"] = self._authorization(endpoint)
        return config

    def _authorization(self, where: Object) -> dict[str, str]:
        wanted = where["authorization"]
        return {"type": wanted["type"], "credentials_file": str(self.tokens / wanted["credentials"]["key"])}

    def alertmanager(self) -> Alertmanager:
        """An Alertmanager with the config that the operator makes of the AlertmanagerConfig."""
        config = find(self.operator, "AlertmanagerConfig", "wellbeing")
        prefix = f"{NAMESPACE}/{config['metadata']['name']}"
        own = f'namespace="{NAMESPACE}"'
        receivers: list[dict[str, Any]] = [{"name": "null"}]
        for one in config["spec"]["receivers"]:
            webhooks = []
            for hook in one["webhookConfigs"]:
                host = f"wellbeing-gate.{NAMESPACE}.svc"
                assert host in hook["url"]
                webhooks.append(
                    {
                        "url": hook["url"].replace(host, self.addresses["gate"]),
                        "send_resolved": hook["sendResolved"],
                        "http_config": {"authorization": self._authorization(hook["httpConfig"])},
                    }
                )
            receivers.append({"name": f"{prefix}/{one['name']}", "webhook_configs": webhooks})
        route = {**_route(config["spec"]["route"], prefix), "continue": True}
        route["matchers"].append(own)
        whole = {"route": {"receiver": "null", "routes": [route]}, "receivers": receivers}
        return self.stack.enter_context(Alertmanager("", config=whole))


def _route(route: Object, prefix: str) -> dict[str, Any]:
    """A route of an AlertmanagerConfig as a route of Alertmanager."""
    made: dict[str, Any] = {"receiver": f"{prefix}/{route['receiver']}"}
    for key, value in route.items():
        if key == "matchers":
            made["matchers"] = [f'{one["name"]}{one["matchType"]}"{one["value"]}"' for one in value]
        elif key == "routes":
            made["routes"] = [_route(one, prefix) for one in value]
        elif key != "receiver":
            made[re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", key)] = value
    return made


def chat(url: str) -> requests.Response:
    return requests.post(f"{url}/v1/chat/completions", json=CHAT, timeout=90)


def paused_and_not_the_other(
    urls: dict[str, str], gates: dict[str, Sidecar], engines: dict[str, Metrics]
) -> None:
    """One engine is stuck: requests of its pod wait, requests of the other do not. It recovers, and they are
    served."""
    stuck, well = PODS
    scopes = {pod: f"{NAMESPACE}/{MODEL}/{pod}" for pod in PODS}
    for url in urls.values():
        assert chat(url).status_code == 200
    engines[stuck].waiting, engines[stuck].running = 5, 0
    gates[stuck].wait_for_gate(scopes[stuck], "closed")
    assert gates[well].status(scopes[well])["gate"] == "open"
    with ThreadPoolExecutor() as pool:
        # A worker learns of a closed gate after a moment; until then its requests pass.
        tries = [pool.submit(chat, urls[stuck])]

        def one_waits() -> bool:
            if tries[-1].done():
                tries.append(pool.submit(chat, urls[stuck]))
            return gates[stuck].status(scopes[stuck])["counters"]["waiters"] > 0

        eventually(one_waits, "a request waits")
        assert [chat(urls[well]).status_code for _ in range(5)] == [200] * 5
        assert not tries[-1].done()
        engines[stuck].waiting, engines[stuck].running = 0, 1
        gates[stuck].wait_for_gate(scopes[stuck], "open")
        assert tries[-1].result(60).status_code == 200
    assert gates[well].counters(scopes[well])["requests_blocked"] == 0


@pytest.fixture
def cluster(request, tmp_path) -> Cluster:
    with Cluster(request.param, tmp_path) as cluster:
        yield cluster


def without_keeping(groups_holder: Cluster) -> None:
    """Do without `keep_firing_for`: it is not tested here, and costs a minute."""
    for one in groups_holder.operator:
        if one["kind"] == "PrometheusRule":
            for group in one["spec"]["groups"]:
                for rule in group["rules"]:
                    rule.pop("keep_firing_for", None)


@pytest.mark.parametrize("cluster", ["vllm"], indirect=True)
def test_a_sidecar_in_each_pod_queries_only_its_own_alerts(cluster: Cluster) -> None:
    without_keeping(cluster)
    alertmanager = cluster.alertmanager()
    engines = {pod: cluster.engine() for pod in PODS}
    gates = {pod: cluster.sidecar("qwen", "wellbeing-sidecar", pod, alertmanager.address) for pod in PODS}
    urls = {pod: cluster.worker(pod, pod) for pod in PODS}
    scraped = {pod: gates[pod].url.removeprefix("http://") for pod in PODS}
    prometheus = cluster.prometheus(alertmanager.address, engines, scraped)
    paused_and_not_the_other(urls, gates, engines)
    eventually(
        lambda: prometheus.value(f'sum by (pod) (wellbeing_pauses_total{{pod="{PODS[0]}"}})'), "it is scraped"
    )
    assert prometheus.query("up == 0") == []
    # The other pod's sidecar never received it.
    assert gates[PODS[1]].get("/v1/history").json()["entries"] == []
    for gate in gates.values():
        assert gate.metric("wellbeing_blind") == 0


@pytest.mark.parametrize("cluster", ["central-gate"], indirect=True)
def test_a_central_gate_receives_the_alert_and_pauses_only_that_pod(cluster: Cluster) -> None:
    without_keeping(cluster)
    alertmanager = cluster.alertmanager()
    engines = {pod: cluster.engine() for pod in PODS}
    # It must receive the notification, not poll.
    seldom = {"WELLBEING_ALERTS__RECONCILE_SECS": "3600"}
    gate = cluster.sidecar("wellbeing-gate", "wellbeing-gate", "gate", alertmanager.address, **seldom)
    urls = {pod: cluster.worker(pod, "gate") for pod in PODS}
    scraped = {"gate": gate.url.removeprefix("http://")}
    prometheus = cluster.prometheus(alertmanager.address, engines, scraped)
    paused_and_not_the_other(urls, dict.fromkeys(PODS, gate), engines)
    entries = gate.get(f"/v1/history/{NAMESPACE}/{MODEL}/{PODS[0]}").json()["entries"]
    (pause,) = [one for one in entries if one["kind"] == "pause"]
    assert pause["actor"] == "alertmanager"
    # The watchdog arrived in the same way, with its credential.
    gate.wait_for_metric('wellbeing_webhook_notifications_total{result="accepted"}', 2)
    assert gate.metric('wellbeing_webhook_notifications_total{result="unauthorized"}') == 0
    assert gate.metric("wellbeing_blind") == 0
    assert prometheus.query("up == 0") == []
    # A request without a worker's token is refused.
    assert requests.get(f"{gate.url}/v1/gate/{NAMESPACE}", timeout=60).status_code == 401
