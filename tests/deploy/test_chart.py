"""The Helm chart renders for each example of values, and agrees with the kustomize bases."""

from __future__ import annotations

import json

import jsonschema
import kubernetes_validate
import pytest
import yaml
from test_schemas import OPERATOR, VERSIONS, check, served

from deploy import chart_readme
from harness import manifest_checks
from harness.helm import CHART, VALUES, helm, refusal, rendered, rendered_with
from harness.kubernetes import KUBERNETES, Object, container_of, find, kustomize, pod_of
from sidecar import __version__

NAMES = [file.name.removesuffix("-values.yaml") for file in VALUES]
CHECKS = (
    manifest_checks.asks_about_itself,
    manifest_checks.asks_alertmanager,
    manifest_checks.images_pinned,
    manifest_checks.limits_set,
    manifest_checks.network_lets_through,
    manifest_checks.no_privilege,
    manifest_checks.nodes_drain,
    manifest_checks.non_root,
    manifest_checks.probes_set,
    manifest_checks.read_only_root,
    manifest_checks.selectors_match,
)
GATEWAY = "gateway.networking.k8s.io/"


def test_helm_lint_reports_nothing() -> None:
    for values in VALUES:
        # The older API version of the policy is for older clusters.
        version = "1.35" if "v1beta1" in values.name else "1.37"
        done = helm("lint", "--strict", "--kube-version", version, str(CHART), "--values", str(values))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_rendered_manifests_are_valid_for_kubernetes_and_the_operator(name) -> None:
    objects = rendered(name)
    assert objects
    for one in objects:
        if one["apiVersion"].startswith(GATEWAY):
            continue
        if one["apiVersion"].startswith(OPERATOR):
            check(one)
            continue
        versions = [version for version in VERSIONS if served(one, version)]
        assert versions, one["apiVersion"]
        kubernetes_validate.validate(one, versions[-1], strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_rendered_manifests_are_as_safe_as_the_kustomize_bases(name) -> None:
    # The injected pods are not objects of the chart.
    objects = [one for one in rendered(name) if one["kind"] != "PodMonitor"]
    assert [wrong for one in CHECKS for wrong in one(objects)] == []


@pytest.mark.parametrize("name", ["default", "pausing", "operator"])
def test_the_sidecar_accepts_the_rendered_config(name) -> None:
    objects = rendered(name)
    assert [*manifest_checks.config_accepted(objects), *manifest_checks.files_mounted(objects)] == []


def test_the_gate_container_equals_that_of_the_kustomize_base() -> None:
    ours = find(rendered("default"), "Deployment", "wellbeing-wellbeing-sidecar")
    base = find(kustomize(KUBERNETES / "gate"), "Deployment", "wellbeing-gate")
    assert container_of(ours, "wellbeing-gate") == container_of(base, "wellbeing-gate")
    for key in ("securityContext", "terminationGracePeriodSeconds", "automountServiceAccountToken"):
        assert pod_of(ours)[key] == pod_of(base)[key]
    secret = next(one["secret"] for one in pod_of(ours)["volumes"] if "secret" in one)
    assert {"secret": secret, "name": "wellbeing-tokens"} in pod_of(base)["volumes"]


def test_the_configs_equal_those_of_the_kustomize_bases() -> None:
    for values, config, base, name in (
        ("default", "wellbeing-wellbeing-sidecar", "gate", "wellbeing-gate"),
        ("injection-v1beta1", "wellbeing-sidecar", "overlays/vllm", "wellbeing-sidecar"),
    ):
        ours = find(rendered(values), "ConfigMap", config)["data"]["sidecar.yaml"]
        theirs = find(kustomize(KUBERNETES / base), "ConfigMap", name)["data"]["sidecar.yaml"]
        assert yaml.safe_load(ours) == yaml.safe_load(theirs)


def test_the_admission_policy_equals_that_of_the_kustomize_base() -> None:
    ours = find(rendered("injection"), "MutatingAdmissionPolicy", "wellbeing-sidecar")
    base = find(kustomize(KUBERNETES / "injection"), "MutatingAdmissionPolicy", "wellbeing-sidecar")
    for one in (ours, base):
        patch = one["spec"]["mutations"][0]["jsonPatch"]
        patch["expression"] = patch["expression"].strip()
    assert ours["spec"] == base["spec"]


def test_the_network_policy_equals_that_of_the_kustomize_base() -> None:
    ours = find(rendered("default"), "NetworkPolicy", "wellbeing-wellbeing-sidecar")["spec"]
    base = find(kustomize(KUBERNETES / "gate"), "NetworkPolicy", "wellbeing-gate")["spec"]
    assert {**ours, "podSelector": None} == {**base, "podSelector": None}


def test_the_rules_equal_the_rule_files() -> None:
    ours = {
        one["metadata"]["name"].rpartition("-")[2]: one["spec"]["groups"]
        for one in rendered("operator")
        if one["kind"] == "PrometheusRule"
    }
    theirs = {
        one["metadata"]["name"].removeprefix("wellbeing-"): one["spec"]["groups"]
        for one in kustomize(KUBERNETES / "operator")
        if one["kind"] == "PrometheusRule"
    }
    assert {name: ours[name] for name in ours if name != "watchdog"} == {
        name: theirs[name] for name in ours if name != "watchdog"
    }
    assert set(ours) == {"masks", "sidecar", "thresholds", "vllm", "watchdog"}


def test_a_users_config_is_merged_over_the_default_config_of_the_chart() -> None:
    config = find(rendered("pausing"), "ConfigMap", "wellbeing-wellbeing-sidecar")["data"]["sidecar.yaml"]
    read = yaml.safe_load(config)
    assert read["defaults"] == {"pause_on_distressed": True, "max_pause_secs": 120}
    assert read["auth"]["credentials"], "the rest stays"


def test_several_pods_share_redis() -> None:
    objects = rendered("redis")
    deployment = find(objects, "Deployment", "wellbeing-wellbeing-sidecar")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    assert len(pod_of(deployment)["topologySpreadConstraints"]) == 2
    config = find(objects, "ConfigMap", "wellbeing-wellbeing-sidecar")["data"]["sidecar.yaml"]
    assert yaml.safe_load(config)["store"]["url"] == "redis://redis.team-a.svc:6379/0"


def test_tokens_are_generated_only_if_no_secret_is_configured() -> None:
    secret = find(rendered("default"), "Secret", "wellbeing-tokens")
    assert set(secret["data"]) == {"alertmanager", "operator", "prometheus", "worker"}
    assert len(set(secret["data"].values())) == 4
    assert not [one for one in rendered("everything") if one["kind"] == "Secret"]


def test_a_changed_config_restarts_the_pods() -> None:
    def digest(values: Object) -> str:
        deployment = find(rendered_with(values), "Deployment", "wellbeing-wellbeing-sidecar")
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert digest({}) == digest({"gate": {"replicas": 1}})
    assert digest({}) != digest({"gate": {"config": {"log_level": "debug"}}})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gate": {"replica": 2}}, "additional properties 'replica' not allowed"),
        ({"gate": {"replicas": 0}}, "minimum"),
        ({"gate": {"replicas": 2}}, "gate.replicas: more than one pod needs a store that they share"),
        ({"gate": {"store": {"type": "redis"}}}, "gate.store.url: the URL of Redis is missing"),
        ({"gate": {"store": {"type": "mysql"}}}, "/gate/store/type"),
        ({"gate": {"store": {"type": "redis", "url": "http://x"}}}, "/gate/store/url"),
        ({"gate": {"store": {"url": "redis://x"}}}, "gate.store.url: belongs to gate.store.type redis"),
        ({"image": {"digest": "sha256:1"}}, "/image/digest"),
        ({"service": {"port": 70000}}, "maximum"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: name the Gateway"),
        ({"ingress": {"enabled": True, "hosts": []}}, "ingress.hosts: name at least one host"),
        ({"gate": {"enabled": False}, "ingress": {"enabled": True}}, "they need gate.enabled"),
        ({"monitoring": {"podMonitor": {"enabled": True}}}, "there are no sidecars to scrape"),
        ({"monitoring": {"prometheusRule": {"enabled": True, "files": ["vlm"]}}}, 'named "vlm"'),
        ({"tokens": {"existingsecret": "x"}}, "'existingsecret' not allowed"),
    ],
)
def test_wrong_values_are_refused_with_one_sentence(values, sentence) -> None:
    assert sentence in refusal(values)


def test_the_schema_describes_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema)

    def same(value: object, part: Object, path: str) -> None:
        if isinstance(value, dict) and "properties" in part:
            assert part["additionalProperties"] is False, path
            assert set(value) == set(part["properties"]) - {"global"}, path
            for key, below in value.items():
                same(below, part["properties"][key], f"{path}.{key}")

    same(values, schema, "values")


def test_the_readme_is_generated_from_the_values() -> None:
    assert chart_readme.README.read_text() == chart_readme.readme()
    described = {path for path, _, _ in chart_readme.rows((CHART / "values.yaml").read_text())}
    assert {"gate.replicas", "gate.store.passwordSecret", "monitoring.dashboards.namespace"} <= described


def test_the_chart_has_the_version_of_the_sidecar() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert chart["version"] == __version__


def test_the_notes_list_the_next_steps() -> None:
    done = helm("install", "wellbeing", str(CHART), "--namespace", "team-a", "--dry-run=client")
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "It only observes" in notes
    assert "http://wellbeing-wellbeing-sidecar.team-a.svc:9477/v1/alerts" in notes
    assert "NetworkPolicy" not in notes, "nothing that is switched on needs a rule of its own"


def test_the_notes_name_the_connections_that_the_network_policy_does_not_allow() -> None:
    values = {"gate": {"store": {"type": "redis", "url": "redis://x:6379/0"}}, "ingress": {"enabled": True}}
    done = helm(
        "install",
        "wellbeing",
        str(CHART),
        "--namespace",
        "team-a",
        "--dry-run=client",
        "--values",
        "-",
        text=yaml.dump(values),
    )
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "networkPolicy.extraFrom" in notes
    assert "networkPolicy.extraEgress" in notes
    assert "http://wellbeing.example.com/" in notes


def test_a_name_that_looks_like_a_number_in_yaml_stays_a_string() -> None:
    values = {
        "tokens": {"existingSecret": "2"},
        "ingress": {"enabled": True, "className": "3"},
        "monitoring": {
            kind: {"enabled": True}
            for kind in ("serviceMonitor", "prometheusRule", "watchdog", "alertmanagerConfig", "dashboards")
        },
    }
    for one in rendered_with(values, namespace="1"):
        assert one["metadata"]["namespace"] == "1"
        if one["apiVersion"].startswith(OPERATOR):
            check(one)
        else:
            kubernetes_validate.validate(one, VERSIONS[-1], strict=True)


def test_the_package_contains_every_file_that_the_templates_read(tmp_path) -> None:
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    done = helm(
        "template",
        "wellbeing",
        str(package),
        "--namespace",
        "team-a",
        "--values",
        str(CHART / "ci" / "operator-values.yaml"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kind: PrometheusRule") == 5
    assert done.stdout.count("wellbeing-scope.json") == 1
