"""The files that ``init`` writes: configs of the three programs, or values of the Helm chart."""

from __future__ import annotations

import shlex
import sysconfig
from dataclasses import dataclass
from pathlib import Path

RULES_FOLDER = Path("share", "wellbeing-sidecar", "alerts")
"""Where an installed package has the rule files, below the environment's folder."""
SCHEMA_FILE = "config.schema.json"


@dataclass(frozen=True, slots=True)
class Engine:
    """An inference engine.

    Attributes:
        title: the name shown to the user.
        port: the port that it listens on by default.
        rules: its file in ``alerts/``, without the suffix; empty: none.
        scope: the scope of its alerts on one machine, as text for the user.
        pod_scope: the same on Kubernetes, where the alerts have the labels namespace and pod.
        note: what the user must do to enable its metrics; empty: nothing.
    """

    title: str
    port: int
    rules: str
    scope: str
    pod_scope: str
    note: str = ""


_MODEL = "the served model's name, such as llama"
_JOB = "the scrape job's name, {}"
_OWN = "the value of the label wellbeing_scope of your alerts"
_IN_A_POD = "namespace/model/pod, such as team-a/llama/llama-0"
_IN_NO_POD = "namespace/model, such as team-a/llama"
_NO_MODEL = "namespace/pod, such as team-a/llama-0"
ENGINES = {
    "vllm": Engine("vLLM", 8000, "vllm", _MODEL, _IN_A_POD),
    "sglang": Engine("SGLang", 30000, "sglang", _MODEL, _IN_A_POD, "start it with --enable-metrics"),
    "llamacpp": Engine(
        "llama.cpp server", 8080, "llamacpp", _JOB.format("llamacpp"), _NO_MODEL, "start it with --metrics"
    ),
    "tgi": Engine("Text Generation Inference", 8080, "tgi", _JOB.format("tgi"), _NO_MODEL),
    "triton": Engine("Triton Inference Server", 8002, "triton", _MODEL, _IN_A_POD),
    "dynamo": Engine("NVIDIA Dynamo", 8000, "dynamo", _MODEL, _IN_NO_POD),
    "litellm": Engine(
        "LiteLLM proxy",
        4000,
        "litellm",
        _MODEL,
        _IN_NO_POD,
        "set litellm_settings.callbacks: [prometheus] in its config",
    ),
    "other": Engine("another engine", 8000, "", _OWN, _OWN),
}
PLACES = ("local", "kubernetes")
MODES = ("advise", "pause")


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to the questions.

    Attributes:
        engine: a key of `ENGINES`.
        place: one of `PLACES`.
        mode: one of `MODES`.
    """

    engine: str
    place: str
    mode: str


def starter_files(answers: Answers) -> dict[str, str]:
    """The text of each file by its path.

    Raises:
        FileNotFoundError: the rule files are not installed.
    """
    if answers.place == "kubernetes":
        return {"values.yaml": _values(answers)}
    return {
        "sidecar.yaml": _sidecar(answers),
        "prometheus.yml": _prometheus(answers),
        "alertmanager.yml": _ALERTMANAGER,
        "wellbeing.rules.yml": _own_rules(answers),
        **{f"alerts/{file.name}": file.read_text(encoding="utf-8") for file in _rule_files(answers)},
    }


def next_steps(answers: Answers, folder: Path) -> list[str]:
    """The next steps, one per line.

    Args:
        answers: the answers to the questions.
        folder: where the files are.
    """
    engine = ENGINES[answers.engine]
    note = [f"{engine.title}: {engine.note}"] if engine.note else []
    if answers.place == "kubernetes":
        return [*note, *_steps_on_kubernetes(engine, folder / "values.yaml")]
    change = [] if folder.samefile(Path()) else [f"cd {shlex.quote(str(folder))}"]
    return [
        *note,
        *change,
        "wellbeing-sidecar serve --config sidecar.yaml",
        _ALERTMANAGER_COMMAND,
        "prometheus --config.file=prometheus.yml",
        f"give the workers WELLBEING_URL=http://127.0.0.1:9477 and WELLBEING_SCOPE: {engine.scope}",
    ]


def _steps_on_kubernetes(engine: Engine, values: Path) -> list[str]:
    chart = "helm install wellbeing deploy/helm/wellbeing-sidecar -n NAMESPACE --create-namespace"
    variables = "WELLBEING_URL and WELLBEING_TOKEN_FILE, which helm prints, and WELLBEING_SCOPE"
    return [
        f"build the image (deploy/Dockerfile), push it, and set image.repository in {values}",
        "let Prometheus scrape the engine with the labels namespace and pod; the chart scrapes only the gate",
        f"in a checkout: {chart} --values {shlex.quote(str(values.absolute()))}",
        f"give the workers {variables}: {engine.pod_scope}",
    ]


def _rules(answers: Answers) -> list[str]:
    engine = ENGINES[answers.engine].rules
    return ["masks", "thresholds", "sidecar", engine] if engine else ["masks", "thresholds", "sidecar"]


def _rule_files(answers: Answers) -> list[Path]:
    checkout = Path(__file__).parents[2] / "alerts"
    installed = Path(sysconfig.get_path("data")) / RULES_FOLDER
    for folder in (checkout, installed):
        files = [folder / f"{name}.rules.yml" for name in _rules(answers)]
        if all(file.is_file() for file in files):
            return files
    raise FileNotFoundError(
        f"{installed}: the rule files are not installed; install the package from a wheel"
    )


def _pausing(answers: Answers) -> str:
    if answers.mode == "pause":
        return "a distressed scope is paused, for five minutes at most"
    return "only observe; with true, a distressed scope is paused"


def _sidecar(answers: Answers) -> str:
    return f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# The sidecar: wellbeing-sidecar serve --config sidecar.yaml
defaults:
  pause_on_distressed: {str(answers.mode == "pause").lower()}   # {_pausing(answers)}
  max_pause_secs: 5m
alerts:
  alertmanager_urls: ['http://127.0.0.1:9093']
  alertmanager:
    receiver: wellbeing-sidecar      # query only the alerts of this receiver
  watchdog:
    alertname: WellbeingWatchdog
    timeout_secs: 10m                # above the repeat_interval of the watchdog's route
"""


def _prometheus(answers: Answers) -> str:
    engine = ENGINES[answers.engine]
    names = "".join(f"  - alerts/{name}.rules.yml\n" for name in _rules(answers))
    return f"""\
# Prometheus: prometheus --config.file=prometheus.yml
global:
  scrape_interval: 15s
  evaluation_interval: 15s
rule_files:
  - wellbeing.rules.yml
{names}alerting:
  alertmanagers:
    - static_configs:
        - targets: ['127.0.0.1:9093']
scrape_configs:
  - job_name: {answers.engine}
    static_configs:
      - targets: ['127.0.0.1:{engine.port}']
  - job_name: wellbeing-sidecar
    static_configs:
      - targets: ['127.0.0.1:9477']
"""


# Without the last option, a single Alertmanager listens for others on port 9094, and does not start on a
# machine without a private address.
_ALERTMANAGER_COMMAND = "alertmanager --config.file=alertmanager.yml --cluster.listen-address="
_ALERTMANAGER = f"""\
# Alertmanager: {_ALERTMANAGER_COMMAND}
# The sidecar gets the watchdog and the alerts that name a scope, and nothing else.
route:
  receiver: people                   # your own routes and receivers
  routes:
    - matchers: ['alertname="WellbeingWatchdog"']
      receiver: wellbeing-sidecar
      group_wait: 0s
      group_interval: 15s
      repeat_interval: 1m            # below the sidecar's alerts.watchdog.timeout_secs
    - matchers: ['wellbeing_scope=~".+"']
      receiver: wellbeing-sidecar
      continue: true                 # people are notified as well
      group_by: [alertname, wellbeing_scope]
      group_wait: 5s
      group_interval: 10s
      repeat_interval: 4h            # below the sidecar's alerts.alert_ttl_secs (5 h)
receivers:
  - name: people
  - name: wellbeing-sidecar
    webhook_configs:
      - url: http://127.0.0.1:9477/v1/alerts
        send_resolved: true
"""

_WATCHDOG = """\
# The alert that always fires, so that the sidecar can distinguish a recovery from a dead Prometheus.
groups:
  - name: wellbeing
    rules:
      - alert: WellbeingWatchdog
        expr: vector(1)
        labels: {severity: none, wellbeing: ignore}
        annotations:
          summary: alerts reach the sidecar
"""

_EXAMPLE = """\
      # An alert of your own: `wellbeing` names the state, `wellbeing_scope` the scope.
      - alert: EngineIsDown
        expr: up{job="other"} == 0
        for: 1m
        labels:
          severity: critical
          wellbeing: distressed
          wellbeing_scope: other
        annotations:
          summary: the engine does not answer
"""


def _own_rules(answers: Answers) -> str:
    return _WATCHDOG + ("" if ENGINES[answers.engine].rules else _EXAMPLE)


def _values(answers: Answers) -> str:
    names = ", ".join(_rules(answers))
    return f"""\
# Values of the chart deploy/helm/wellbeing-sidecar. The monitoring objects need the Prometheus operator.
image:
  repository: registry.example.com/wellbeing-sidecar   # where yours is
gate:
  config:
    defaults:
      pause_on_distressed: {str(answers.mode == "pause").lower()}   # {_pausing(answers)}
      max_pause_secs: 5m
monitoring:
  # labels: {{release: kube-prometheus-stack}}          # where the operator selects by it
  serviceMonitor: {{enabled: true}}
  prometheusRule: {{enabled: true, files: [{names}]}}
  watchdog: {{enabled: true}}
  alertmanagerConfig: {{enabled: true}}
  dashboards: {{enabled: true}}
"""
