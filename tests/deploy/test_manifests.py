"""The built manifests pass all checks. Each check is shown to find a planted error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from dashboards.build import BOARDS, rendered
from harness.kubernetes import (
    KUBERNETES,
    ROOT,
    Object,
    container_of,
    copy_of,
    find,
    kustomizations,
    kustomize,
    pod_of,
    workloads,
)
from harness.manifest_checks import CHECKS, dashboards_in, sidecar_containers, violations

OVERLAYS = KUBERNETES / "overlays"
WITH_PODS = [
    "gate",
    "overlays/central-gate",
    "overlays/fleet",
    "overlays/persistent-gate",
    "overlays/vllm",
    "vllm",
]
"""The folders with pods. They are listed, because kustomize takes seconds and each worker of pytest reads this file."""


def whole(overlay: str) -> list[Object]:
    """An overlay with the operator's objects for it."""
    monitors = [one for one in kustomize(KUBERNETES / "operator") if one["kind"] == "PodMonitor"]
    if overlay == "central-gate":
        monitors.remove(find(monitors, "PodMonitor", "wellbeing-sidecar"))
        monitors.append(find(kustomize(KUBERNETES / "operator" / "gate"), "ServiceMonitor", "wellbeing-gate"))
    return copy_of(kustomize(OVERLAYS / overlay) + monitors)


@pytest.mark.parametrize("name", WITH_PODS)
def test_the_built_manifests_pass_every_check(name) -> None:
    objects = kustomize(KUBERNETES / name)
    if name == "vllm":
        # Alone, it would ask a sidecar that is not there.
        objects = [one for one in objects if one["kind"] != "Deployment"]
        objects = [one for one in objects if one["kind"] != "Service"]
    assert violations(objects) == []


@pytest.mark.parametrize("overlay", ["vllm", "central-gate"])
def test_the_operators_objects_select_the_overlays_objects(overlay) -> None:
    assert violations(whole(overlay)) == []


def sidecar(objects: list[Object]) -> Object:
    return container_of(find(objects, "Deployment", "qwen"), "wellbeing-sidecar")


def gate(objects: list[Object]) -> Object:
    return container_of(find(objects, "Deployment", "wellbeing-gate"), "wellbeing-gate")


def in_config(objects: list[Object], name: str, old: str, new: str) -> None:
    config = find(objects, "ConfigMap", name)
    assert old in config["data"]["sidecar.yaml"]
    config["data"]["sidecar.yaml"] = config["data"]["sidecar.yaml"].replace(old, new)


def token_of(objects: list[Object]) -> Object:
    """The volume with the token of the workers."""
    volumes = pod_of(find(objects, "Deployment", "qwen"))["volumes"]
    (volume,) = [one["secret"] for one in volumes if "secret" in one]
    return volume


def network(objects: list[Object]) -> Object:
    return find(objects, "NetworkPolicy", "wellbeing-gate")["spec"]


def annotations(objects: list[Object], workload: str) -> Object:
    return find(objects, "Deployment", workload)["spec"]["template"]["metadata"].setdefault("annotations", {})


def change_env(container: Object, of: str, **changes) -> None:
    (one,) = [one for one in container["env"] if one["name"] == of]
    one.update(changes)


PLANTED: list[tuple[str, str, Callable[[list[Object]], object]]] = [
    ("non_root", "vllm", lambda o: sidecar(o)["securityContext"].update(runAsUser=0)),
    ("non_root", "central-gate", lambda o: gate(o)["securityContext"].update(runAsNonRoot=False)),
    ("read_only_root", "vllm", lambda o: sidecar(o)["securityContext"].pop("readOnlyRootFilesystem")),
    ("no_privilege", "vllm", lambda o: sidecar(o)["securityContext"].update(privileged=True)),
    ("no_privilege", "vllm", lambda o: sidecar(o)["securityContext"].pop("capabilities")),
    ("no_privilege", "vllm", lambda o: sidecar(o)["securityContext"].pop("seccompProfile")),
    ("no_privilege", "vllm", lambda o: pod_of(find(o, "Deployment", "qwen")).update(hostNetwork=True)),
    ("no_privilege", "vllm", lambda o: pod_of(find(o, "Deployment", "qwen"))["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
    ("no_privilege", "central-gate", lambda o: pod_of(find(o, "Deployment", "wellbeing-gate")).pop("automountServiceAccountToken")),
    ("limits_set", "vllm", lambda o: sidecar(o)["resources"].pop("limits")),
    ("probes_set", "vllm", lambda o: sidecar(o).pop("startupProbe")),
    ("probes_set", "central-gate", lambda o: gate(o).pop("livenessProbe")),
    ("images_pinned", "vllm", lambda o: sidecar(o).update(image="registry:5000/wellbeing-sidecar")),
    ("images_pinned", "vllm", lambda o: sidecar(o).update(image="wellbeing-sidecar:latest")),
    ("no_secret_in_sight", "vllm", lambda o: o.append({"kind": "Secret", "metadata": {"name": "x"}})),
    ("no_secret_in_sight", "central-gate", lambda o: in_config(o, "wellbeing-gate", "alerts:\n", "alerts:\n  alertmanager: {}\n  bearer_token: hunter2\n")),
    ("no_secret_in_sight", "vllm", lambda o: sidecar(o)["env"].append({"name": "WELLBEING_TOKEN", "value": "hunter2"})),
    ("selectors_match", "vllm", lambda o: find(o, "Deployment", "qwen")["spec"]["template"]["metadata"].update(labels={"a": "b"})),
    ("selectors_match", "central-gate", lambda o: find(o, "Service", "wellbeing-gate")["spec"].update(selector={"a": "b"})),
    ("selectors_match", "central-gate", lambda o: find(o, "NetworkPolicy", "wellbeing-gate")["spec"].update(podSelector={})),
    ("selectors_match", "vllm", lambda o: find(o, "PodMonitor", "wellbeing-sidecar")["spec"].update(selector={"matchLabels": {"a": "b"}})),
    ("selectors_match", "central-gate", lambda o: find(o, "ServiceMonitor", "wellbeing-gate")["spec"].update(selector={"matchLabels": {"a": "b"}})),
    ("ports_match", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "0.0.0.0:9478", "0.0.0.0:9479")),
    ("ports_match", "vllm", lambda o: sidecar(o)["livenessProbe"]["httpGet"].update(port="http")),
    ("ports_match", "central-gate", lambda o: find(o, "Service", "wellbeing-gate")["spec"]["ports"][0].update(targetPort="web")),
    ("ports_match", "vllm", lambda o: find(o, "PodMonitor", "wellbeing-sidecar")["spec"]["podMetricsEndpoints"][0].update(port="web")),
    ("workers_reach_it", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "127.0.0.1:9477", "127.0.0.1:9476")),
    ("workers_reach_it", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "roles: [worker, agent]\n", "roles: [viewer]\n")),
    ("workers_reach_it", "central-gate", lambda o: change_env(container_of(find(o, "Deployment", "qwen"), "vllm"), "WELLBEING_TOKEN_FILE", name="X_FILE")),
    ("workers_reach_it", "vllm", lambda o: pod_of(find(o, "Deployment", "qwen")).pop("terminationGracePeriodSeconds")),
    ("workers_reach_it", "vllm", lambda o: container_of(find(o, "Deployment", "qwen"), "vllm")["args"].remove("--shutdown-timeout")),
    ("workers_reach_it", "vllm", lambda o: container_of(find(o, "Deployment", "qwen"), "vllm")["args"].extend(["--shutdown-timeout", "60"])),
    ("tokens_there", "central-gate", lambda o: pod_of(find(o, "Deployment", "wellbeing-gate"))["securityContext"].pop("fsGroup")),
    ("tokens_there", "central-gate", lambda o: pod_of(find(o, "Deployment", "qwen"))["securityContext"].pop("fsGroup")),
    ("tokens_there", "central-gate", lambda o: token_of(o).update(items=[{"key": "wroker", "path": "worker"}])),
    ("tokens_there", "central-gate", lambda o: token_of(o).update(items=[{"key": "worker", "path": "wroker"}])),
    ("tokens_there", "central-gate", lambda o: token_of(o).update(secretName="wellbeing-token")),
    ("tokens_there", "central-gate", lambda o: token_of(o).update(defaultMode=0o400)),
    ("tokens_there", "vllm", lambda o: find(o, "PodMonitor", "wellbeing-sidecar")["spec"]["podMetricsEndpoints"][0]["authorization"]["credentials"].update(key="viewer")),
    ("tokens_there", "central-gate", lambda o: find(o, "ServiceMonitor", "wellbeing-gate")["spec"]["endpoints"][0]["authorization"]["credentials"].update(name="tokens")),
    ("asks_alertmanager", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "alertmanager-operated.", "alertmanager.")),
    ("asks_alertmanager", "central-gate", lambda o: in_config(o, "wellbeing-gate", ".monitoring.svc", ".elsewhere.svc")),
    ("network_lets_through", "central-gate", lambda o: network(o)["egress"][1]["ports"][0].update(port=9999)),
    ("network_lets_through", "central-gate", lambda o: network(o)["egress"][1].update(to=[{"podSelector": {}}])),
    ("network_lets_through", "central-gate", lambda o: network(o)["egress"][0].update(to=[{"podSelector": {}}])),
    ("network_lets_through", "central-gate", lambda o: network(o)["egress"][0]["ports"].pop()),
    ("network_lets_through", "central-gate", lambda o: network(o)["ingress"][0]["from"][0].update(podSelector={"matchLabels": {"a": "b"}})),
    ("network_lets_through", "central-gate", lambda o: network(o)["ingress"][0]["from"].pop()),
    ("nodes_drain", "central-gate", lambda o: find(o, "PodDisruptionBudget", "wellbeing-gate")["spec"].update(maxUnavailable=0)),
    ("no_privilege", "central-gate", lambda o: find(o, "ServiceAccount", "wellbeing-gate").update(automountServiceAccountToken=True)),
    ("scrape_annotations_lead_to_engines", "vllm", lambda o: annotations(o, "qwen").update({"prometheus.io/scrape": "no"})),
    ("scrape_annotations_lead_to_engines", "vllm", lambda o: annotations(o, "qwen").update({"prometheus.io/port": "9478"})),
    ("scrape_annotations_lead_to_engines", "central-gate", lambda o: annotations(o, "wellbeing-gate").update({"prometheus.io/scrape": "true"})),
    ("config_accepted", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "reconcile_secs", "reconcile_sec")),
    ("config_accepted", "central-gate", lambda o: gate(o)["env"].append({"name": "WELLBEING_DEFAULTS__PAUSE", "value": "true"})),
    ("files_mounted", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "tokens/operator", "token/operator")),
    ("files_mounted", "vllm", lambda o: in_config(o, "wellbeing-sidecar", "/var/lib/wellbeing/wellbeing.db", "/tmp/wellbeing.db")),
    ("is_native_sidecar", "vllm", lambda o: sidecar(o).pop("restartPolicy")),
    ("is_native_sidecar", "vllm", lambda o: pod_of(find(o, "Deployment", "qwen"))["initContainers"].reverse()),
    ("asks_about_itself", "vllm", lambda o: change_env(sidecar(o), "WELLBEING_ALERTS__ALERTMANAGER__FILTER", value="[]")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "overlay", "plant"), PLANTED, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_planted_error_is_caught(check, overlay, plant) -> None:
    objects = whole(overlay)
    plant(objects)
    (function,) = [one for one in CHECKS if one.__name__ == check]
    assert list(function(objects)), f"{check} sees nothing"


def test_every_check_is_shown_to_catch_something() -> None:
    assert {check for check, _, _ in PLANTED} == {check.__name__ for check in CHECKS}


def test_the_manifests_contain_every_rule() -> None:
    built = [one for one in kustomize(KUBERNETES / "operator") if one["kind"] == "PrometheusRule"]
    groups = {group["name"]: group for one in built for group in one["spec"]["groups"]}
    written = {}
    for file in (ROOT / "alerts").glob("*.rules.yml"):
        written |= {group["name"]: group for group in yaml.safe_load(file.read_text())["groups"]}
    assert written
    assert {name: group for name, group in groups.items() if name != "wellbeing-watchdog"} == written
    plain = find(kustomize(KUBERNETES / "plain"), "ConfigMap", "wellbeing-rules")["data"]
    assert plain == {file.name: file.read_text() for file in (ROOT / "alerts").glob("*.rules.yml")}


def test_every_dashboard_is_in_a_config_map_with_the_label_that_grafana_selects() -> None:
    built = kustomize(KUBERNETES / "dashboards")
    texts = {one["data"][name] for one in built for name in one["data"]}
    assert texts == {rendered(board) for board in BOARDS}
    assert set(dashboards_in(built)) == {board.uid for board in BOARDS}
    for one in built:
        del one["metadata"]["labels"]
    assert not dashboards_in(built)


def test_the_receiver_has_the_address_and_token_of_the_gate() -> None:
    """Address, port, token and watchdog match the overlay in the same namespace."""
    operator, overlay = kustomize(KUBERNETES / "operator"), kustomize(OVERLAYS / "central-gate")
    config = find(kustomize(KUBERNETES / "operator" / "gate"), "AlertmanagerConfig", "wellbeing")
    service = find(overlay, "Service", "wellbeing-gate")
    namespace = service["metadata"]["namespace"]
    assert config["metadata"]["namespace"] == namespace
    ((receiver,),) = [one["webhookConfigs"] for one in config["spec"]["receivers"]]
    port = service["spec"]["ports"][0]["port"]
    assert receiver["url"] == f"http://wellbeing-gate.{namespace}.svc:{port}/v1/alerts"
    credentials = receiver["httpConfig"]["authorization"]["credentials"]
    files = yaml.safe_load(find(overlay, "ConfigMap", "wellbeing-gate")["data"]["sidecar.yaml"])["auth"][
        "credentials"
    ]
    (webhook,) = [one for one in files if one["roles"] == ["webhook"]]
    assert webhook["token_file"].rpartition("/")[2] == credentials["key"]
    (rule,) = find(operator, "PrometheusRule", "wellbeing-watchdog")["spec"]["groups"][0]["rules"]
    assert rule["labels"]["namespace"] == namespace
    (named,) = [one["value"] for one in gate(overlay)["env"] if one["name"].endswith("WATCHDOG__ALERTNAME")]
    assert named == rule["alert"]
    ((matcher,),) = [one["matchers"] for one in config["spec"]["route"]["routes"]]
    assert matcher["value"] == named


@pytest.mark.parametrize("overlay", ["vllm", "central-gate"])
def test_the_expected_watchdog_is_the_one_that_fires(overlay) -> None:
    """Without that alert, the sidecar ignores every recovery."""
    (rule,) = find(kustomize(KUBERNETES / "operator"), "PrometheusRule", "wellbeing-watchdog")["spec"][
        "groups"
    ][0]["rules"]
    named = [
        one["value"]
        for _, container in sidecar_containers(kustomize(OVERLAYS / overlay))
        for one in container["env"]
        if one["name"] == "WELLBEING_ALERTS__WATCHDOG__ALERTNAME"
    ]
    assert named == [rule["alert"]]


def test_no_receiver_posts_to_a_gate_that_is_not_deployed() -> None:
    """The objects for sidecars in pods have no receiver, because sidecars poll."""
    kinds = {one["kind"] for one in kustomize(KUBERNETES / "operator")}
    assert kinds == {"PodMonitor", "PrometheusRule"}
    names = {one["metadata"]["name"] for one in kustomize(OVERLAYS / "vllm")}
    assert "wellbeing-gate" not in names


def test_every_folder_is_built_or_included_by_one_that_is_built() -> None:
    assert len(kustomizations()) >= 10
    built = {str(folder.relative_to(KUBERNETES)): kustomize(folder) for folder in kustomizations()}
    assert all(built.values())
    assert sorted(name for name, objects in built.items() if workloads(objects)) == WITH_PODS
