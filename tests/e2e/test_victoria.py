"""VictoriaMetrics instead of Prometheus: vmagent scrapes, vmalert evaluates the shipped rules, Alertmanager
notifies."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

from harness.monitoring import Alertmanager
from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal, program
from harness.sidecar import Sidecar

ALERTS = Path(__file__).parents[2] / "alerts"
PLAIN = {
    "groups": [
        {
            "name": "plain",
            "rules": [
                {
                    "alert": "Distress",
                    "expr": "engine_distress > 0",
                    "labels": {"severity": "critical", "wellbeing_scope": "plain"},
                    "annotations": {"summary": "distress is {{ $value }}"},
                }
            ],
        }
    ]
}


class Engine(BaseHTTPRequestHandler):
    """A vLLM that computes NaN logits, and a gauge."""

    corrupted = 0
    distress = 0

    def do_GET(self) -> None:
        labels = 'model_name="m",engine="0"'
        body = (
            f"vllm:num_requests_running{{{labels}}} 1\nvllm:num_requests_waiting{{{labels}}} 0\n"
            f"vllm:corrupted_requests_total{{{labels}}} {Engine.corrupted}\nengine_distress {Engine.distress}\n"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def without_keep_firing_for(folder: Path) -> None:
    """The guide's command for a vmalert that does not know this key, such as Debian's 1.79."""
    for file in ALERTS.glob("*.rules.yml"):
        lines = file.read_text().splitlines(keepends=True)
        (folder / file.name).write_text("".join(line for line in lines if "keep_firing_for:" not in line))
    (folder / "plain.rules.yml").write_text(yaml.safe_dump(PLAIN))


def assert_vmalert_accepts(folder: Path) -> None:
    """vmalert accepts the rule files of ``folder``."""
    command = [program("vmalert"), "-dryRun", "-rule=*.rules.yml", "-rule.validateExpressions"]
    command.append("-rule.validateTemplates")
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def start_victoria(folder: Path, storage: str, alertmanager: str, started: list[Process]) -> None:
    """Start the storage, the agent and the alerter, and add each to ``started``."""

    def start(name: str, *arguments: str) -> None:
        started.append(Process([program(name), "-loggerLevel=WARN", *arguments], folder))

    # By default, queries ignore samples younger than 30 s.
    start(
        "victoria-metrics",
        f"-httpListenAddr={storage}",
        "-storageDataPath=data",
        "-search.latencyOffset=0s",
        "-retentionPeriod=1d",
    )
    eventually(lambda: up(storage, started), "the storage is up")
    start(
        "vmagent",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
        "-promscrape.config=scrape.yml",
        f"-remoteWrite.url=http://{storage}/api/v1/write",
        "-remoteWrite.tmpDataPath=queue",
        "-remoteWrite.flushInterval=1s",
    )
    start(
        "vmalert",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
        f"-datasource.url=http://{storage}",
        f"-remoteWrite.url=http://{storage}",
        f"-remoteRead.url=http://{storage}",
        f"-notifier.url={alertmanager}",
        *(f"-rule={name}.rules.yml" for name in ("thresholds", "masks", "vllm", "plain")),
        "-evaluationInterval=1s",
        "-remoteWrite.flushInterval=200ms",
    )


def test_the_shipped_rules_close_a_gate_through_vmalert(tmp_path: Path) -> None:
    engine = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=engine.serve_forever, daemon=True)
    thread.start()
    without_keep_firing_for(tmp_path)
    assert_vmalert_accepts(tmp_path)
    storage = f"127.0.0.1:{free_port()}"
    started: list[Process] = []
    config = {"defaults": {"pause_on_distressed": True, "max_pause_secs": 0}}
    try:
        with Sidecar(config) as sidecar, Alertmanager(f"{sidecar.url}/v1/alerts") as alertmanager:
            scrape = [
                {"job_name": "vllm", "static_configs": [{"targets": [f"127.0.0.1:{engine.server_port}"]}]},
                {"job_name": "sidecar", "static_configs": [{"targets": [sidecar.address]}]},
            ]
            (tmp_path / "scrape.yml").write_text(
                yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": scrape})
            )
            start_victoria(tmp_path, storage, alertmanager.url, started)
            recorded = 'count(wellbeing:engine_scope{kind="vllm"}) and count(wellbeing:threshold) > 10'
            eventually(lambda: value(storage, recorded, started), "the rules' records are there", 120)
            assert value(storage, 'wellbeing_state{scope="",state="healthy"}', started) == 1.0
            Engine.corrupted, Engine.distress = 5, 1
            eventually_equal(
                lambda: sidecar.status("m")["gate"], "closed", "the shipped rule closes the gate", 90
            )
            assert "NaN logits" in sidecar.status("m")["reason"]
            assert "distress is 1" in str(
                eventually(lambda: sidecar.status("plain")["reason"], "the alert sets the reason")
            )
            # The mask works: vmalert matches the sidecar's series with the engine's series.
            mask = 'count(wellbeing:engine_shut{kind="vllm"})'
            eventually_equal(
                lambda: value(storage, mask, started), 1.0, "the closed gate is in the masks", 120
            )
            Engine.distress = 0
            eventually_equal(lambda: sidecar.status("plain")["gate"], "open", "the resolve arrives", 90)
    finally:
        for one in reversed(started):
            one.stop()
        engine.shutdown()
        engine.server_close()


def up(address: str, started: list[Process]) -> bool:
    for one in started:
        one.alive()
    try:
        return requests.get(f"http://{address}/health", timeout=30).ok
    except requests.ConnectionError:
        return False


def value(address: str, expression: str, started: list[Process]) -> float | None:
    for one in started:
        one.alive()
    answer = requests.get(f"http://{address}/api/v1/query", params={"query": expression}, timeout=60).json()
    result = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else None
