"""Validates every object against the schemas of the last four versions of Kubernetes and of the operator's
CRDs."""

from __future__ import annotations

import functools

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions
from packaging.version import Version

from harness.kubernetes import (
    KUBERNETES,
    Object,
    _Loader,
    components,
    copy_of,
    find,
    kustomizations,
    kustomize,
    load,
    snippets,
)
from harness.schemas import schema_of, schemas

VERSIONS = sorted(set(all_versions()), key=Version)[-4:]
OPERATOR = "monitoring.coreos.com/"
# The first and the last version of Kubernetes that serves each API version of the policy.
POLICIES = {
    "admissionregistration.k8s.io/v1": ("1.36", "9"),
    "admissionregistration.k8s.io/v1beta1": ("1.34", "1.35"),
}


def served(one: Object, version: str) -> bool:
    if one["apiVersion"] not in POLICIES:
        return True
    first, last = POLICIES[one["apiVersion"]]
    number = [int(part) for part in version.split(".")[:2]]
    return [int(part) for part in first.split(".")] <= number <= [int(part) for part in last.split(".")]


def everything() -> list[tuple[str, Object]]:
    return [
        (f"{folder.relative_to(KUBERNETES)}: {one['kind']} {one['metadata']['name']}", one)
        for folder in kustomizations()
        for one in kustomize(folder)
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_built_manifests_match_the_schemas_of_kubernetes(version) -> None:
    checked = 0
    for where, one in everything():
        if one["apiVersion"].startswith(OPERATOR) or not served(one, version):
            continue
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise AssertionError(f"{where}: {error.message}") from error
        checked += 1
    assert checked > 20


def test_each_admission_policy_matches_the_schema_of_some_version() -> None:
    policies = [one for _, one in everything() if one["kind"].startswith("MutatingAdmissionPolicy")]
    for one in policies:
        assert any(served(one, version) for version in VERSIONS), one["apiVersion"]
    assert all(any(served(one, version) for one in policies) for version in VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_of_kubernetes_catches_a_planted_error(version) -> None:
    deployment = find(copy_of(kustomize(KUBERNETES / "overlays" / "vllm")), "Deployment", "qwen")
    kubernetes_validate.validate(deployment, version, strict=True)
    for key, value in (
        ("restartPolice", "Always"),
        ("startupProbe", {"httpGet": {"path": "/"}}),
        ("args", "serve"),
    ):
        wrong = copy_of([deployment])[0]
        wrong["spec"]["template"]["spec"]["initContainers"][0][key] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, version, strict=True)


# -- the operator's ------------------------------------------------------------------------------------


@functools.cache
def crd_schema(kind: str, version: str) -> object:
    crd = yaml.load((schemas() / f"{OPERATOR.rstrip('/')}_{kind.lower()}s.yaml").read_text(), _Loader)
    return schema_of(crd, version)


def operators() -> list[Object]:
    return kustomize(KUBERNETES / "operator") + kustomize(KUBERNETES / "operator" / "gate")


def check(one: Object) -> None:
    jsonschema.validate(one, crd_schema(one["kind"], one["apiVersion"].removeprefix(OPERATOR)))


def test_the_built_manifests_match_the_schemas_of_the_operator() -> None:
    kinds = set()
    for one in operators():
        check(one)
        kinds.add(one["kind"])
    assert kinds == {"PodMonitor", "ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"}


def test_the_snippets_of_the_guide_match_the_schemas_of_the_operator() -> None:
    shown = [
        one
        for text in snippets("yaml")
        for one in load(text)
        if str(one.get("apiVersion")).startswith(OPERATOR)
    ]
    for one in shown:
        check(one)
    assert {one["kind"] for one in shown} == {"PodMonitor", "AlertmanagerConfig"}


@pytest.mark.parametrize(
    ("kind", "name", "plant"),
    [
        ("PodMonitor", "wellbeing-sidecar", lambda spec: spec.update(selectors={})),
        ("PodMonitor", "wellbeing-sidecar", lambda spec: spec["podMetricsEndpoints"][0].update(interval="15 s")),
        ("ServiceMonitor", "wellbeing-gate", lambda spec: spec["endpoints"][0].update(prot="wellbeing")),
        ("PrometheusRule", "wellbeing-vllm", lambda spec: spec["groups"][1]["rules"][0].update({"for": "2 minutes"})),
        ("PrometheusRule", "wellbeing-vllm", lambda spec: spec["groups"][1]["rules"][0].update(keep_firing_four="1m")),
        ("AlertmanagerConfig", "wellbeing", lambda spec: spec["receivers"][0]["webhookConfigs"][0].update(send_resolved=True)),
        ("AlertmanagerConfig", "wellbeing", lambda spec: spec["route"]["matchers"][0].update(matchType="~")),
    ],
)  # fmt: skip
def test_the_schema_of_the_operator_catches_a_planted_error(kind, name, plant) -> None:
    one = find(copy_of(operators()), kind, name)
    plant(one["spec"])
    with pytest.raises(jsonschema.ValidationError):
        check(one)


def test_every_component_is_part_of_a_checked_build() -> None:
    used = {
        (file.parent / one).resolve()
        for file in [*KUBERNETES.rglob("kustomization.yaml")]
        for one in yaml.safe_load(file.read_text()).get("components", [])
    }
    assert set(components()) == used
