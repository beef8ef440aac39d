"""The configs of Prometheus and Alertmanager without the operator match the gate's overlay."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from harness.kubernetes import KUBERNETES, Object, container_of, containers_of, find, kustomize, workloads
from harness.manifest_checks import ENGINES, SECRETS, sidecar_containers
from harness.process import program

Files = dict[str, Any]
GATE = "wellbeing-gate"
PHASE = "__meta_kubernetes_pod_phase"
PORT = "__meta_kubernetes_pod_container_port_name"
LABELS = {"namespace": "__meta_kubernetes_namespace", "pod": "__meta_kubernetes_pod_name"}


def config_maps() -> dict[str, dict[str, str]]:
    built = kustomize(KUBERNETES / "plain")
    return {one["metadata"]["name"]: one["data"] for one in built}


def files() -> Files:
    data = config_maps()
    return {
        "prometheus": yaml.safe_load(data["wellbeing-prometheus"]["prometheus.yml"]),
        "watchdog": yaml.safe_load(data["wellbeing-prometheus"]["watchdog.rules.yml"]),
        "alertmanager": yaml.safe_load(data["wellbeing-alertmanager"]["alertmanager.yml"]),
    }


def ports_of(containers: Iterator[Object]) -> set[str]:
    return {port["name"] for one in containers for port in one["ports"]}


def wrong_with(given: Files, overlay: list[Object]) -> Iterator[str]:
    """The differences between the files and the overlay."""
    service = find(overlay, "Service", GATE)
    namespace = service["metadata"]["namespace"]
    engines = (one for load in workloads(overlay) for one in containers_of(load) if one["name"] in ENGINES)
    wanted_ports = {
        "wellbeing-sidecar": ports_of(one for _, one in sidecar_containers(overlay)),
        "engines": ports_of(engines),
    }
    jobs = {one["job_name"]: one for one in given["prometheus"]["scrape_configs"]}
    if set(jobs) != set(wanted_ports):
        yield f"scrapes {set(jobs)}"
        return
    for name, job in jobs.items():
        ((discovery,),) = [job["kubernetes_sd_configs"]]
        if discovery != {"role": "pod", "namespaces": {"names": [namespace]}}:
            yield f"{name} looks for {discovery}"
        rules = job["relabel_configs"]
        kept = {
            one["regex"] for one in rules if one.get("action") == "keep" and one["source_labels"] == [PORT]
        }
        if kept != wanted_ports[name]:
            yield f"{name} scrapes the ports {kept}"
        if {"source_labels": [PHASE], "regex": "Failed|Succeeded", "action": "drop"} not in rules:
            yield f"{name} keeps pods that have ended"
        for label, source in LABELS.items():
            if {"source_labels": [source], "target_label": label} not in rules:
                yield f"{name} does not say the {label}"
    token = jobs["wellbeing-sidecar"].get("authorization", {}).get("credentials_file", "")
    if token.rpartition("/")[2] not in SECRETS["wellbeing-tokens"] or "authorization" in jobs["engines"]:
        yield "a token is missing, or goes to engines"

    receiver = {one["name"]: one for one in given["alertmanager"]["receivers"]}["team-a-gate"]
    ((hook,),) = [receiver["webhook_configs"]]
    port = service["spec"]["ports"][0]["port"]
    if hook["url"] != f"http://{GATE}.{namespace}.svc:{port}/v1/alerts" or not hook["send_resolved"]:
        yield f"the receiver leads to {hook['url']}, or gets no resolved alerts"
    file = hook["http_config"]["authorization"]["credentials_file"]
    if file.rpartition("/")[2] not in SECRETS["wellbeing-tokens"]:
        yield f"nobody makes {file}"
    ((route,),) = [given["alertmanager"]["route"]["routes"]]
    if f'namespace="{namespace}"' not in route["matchers"] or route["receiver"] != receiver["name"]:
        yield "another namespace's alerts go to the gate"

    gate = container_of(find(overlay, "Deployment", GATE), GATE)
    (named,) = [one["value"] for one in gate["env"] if one["name"].endswith("WATCHDOG__ALERTNAME")]
    ((rule,),) = [one["rules"] for one in given["watchdog"]["groups"]]
    if rule["alert"] != named or rule["labels"]["namespace"] != namespace:
        yield f"the watchdog {named} never fires there"
    ((inner,),) = [route["routes"]]
    if inner["matchers"] != [f'alertname="{named}"']:
        yield f"the watchdog is repeated as seldom as other alerts: {inner['matchers']}"


def overlay() -> list[Object]:
    return kustomize(KUBERNETES / "overlays" / "central-gate")


def test_the_plain_files_name_the_objects_of_the_gates_overlay() -> None:
    assert list(wrong_with(files(), overlay())) == []


def job(given: Files, number: int) -> Any:
    return given["prometheus"]["scrape_configs"][number]


def hook(given: Files) -> Any:
    return given["alertmanager"]["receivers"][1]["webhook_configs"][0]


@pytest.mark.parametrize(
    "plant",
    [
        lambda f: hook(f).update(url="http://wellbeing-gate.team-b.svc:9477/v1/alerts"),
        lambda f: hook(f).update(url="http://wellbeing-gate.team-a.svc:9478/v1/alerts"),
        lambda f: hook(f).update(send_resolved=False),
        lambda f: hook(f)["http_config"]["authorization"].update(credentials_file="/etc/alertmanager/x"),
        lambda f: f["alertmanager"]["route"]["routes"][0]["matchers"].pop(),
        lambda f: f["alertmanager"]["route"]["routes"][0]["routes"][0].update(matchers=["a=b"]),
        lambda f: f["watchdog"]["groups"][0]["rules"][0].update(alert="Watchdog"),
        lambda f: f["watchdog"]["groups"][0]["rules"][0]["labels"].update(namespace="team-b"),
        lambda f: job(f, 0).pop("authorization"),
        lambda f: job(f, 1).update(authorization=job(f, 0)["authorization"]),
        lambda f: job(f, 0)["kubernetes_sd_configs"][0].update(namespaces={"names": ["team-b"]}),
        lambda f: job(f, 0).update(job_name="other"),
        *[lambda f, n=n, m=m: job(f, n)["relabel_configs"].pop(m) for n in (0, 1) for m in (-1, -2, -3, -4)],
        lambda f: job(f, 0)["relabel_configs"][0].update(regex="web"),
        lambda f: job(f, 1)["relabel_configs"][1].update(regex="web"),
    ],
)
def test_a_planted_error_is_caught_in_the_plain_files(plant: Callable[[Files], object]) -> None:
    given = files()
    plant(given)
    assert list(wrong_with(given, overlay()))


def test_alertmanager_accepts_its_config(tmp_path) -> None:
    text = config_maps()["wellbeing-alertmanager"]["alertmanager.yml"]
    file = tmp_path / "alertmanager.yml"
    for given, code in ((text, 0), (text.replace("group_wait", "group_weight"), 1)):
        file.write_text(given)
        done = subprocess.run(
            [program("amtool"), "check-config", str(file)], check=False, capture_output=True, timeout=60
        )
        assert done.returncode == code, done.stderr


def test_the_config_maps_contain_the_rule_files_and_prometheus_accepts_them(tmp_path) -> None:
    """Debian's promtool does not support Kubernetes discovery, so it checks the rules only."""
    data = config_maps()
    mounts = {"wellbeing": "wellbeing-prometheus", "wellbeing-rules": "wellbeing-rules"}
    named = files()["prometheus"]["rule_files"]
    assert named
    for path in named:
        folder, name = re.fullmatch(r"/etc/prometheus/([\w-]+)/([\w.-]+)", path).groups()
        (tmp_path / name).write_text(data[mounts[folder]][name])
    command = [program("promtool"), "check", "rules", *(str(file) for file in sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
