"""Evaluates the policy's expressions: the policy adds the same to a pod as the Component adds to a
Deployment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import celpy
import kubernetes_validate
import pytest
import yaml
from celpy import celtypes

from deploy.build import stale
from harness.kubernetes import KUBERNETES, copy_of, find, kustomize, load

LABEL = {"wellbeing-sidecar": "enabled"}
APP = {"name": "app", "image": "app:1"}
EARLIER = {"name": "earlier", "image": "earlier:1"}
VOLUME = {"name": "models", "emptyDir": {}}
PODS = {
    "a plain pod": {"containers": [APP]},
    "a pod with an init container": {"containers": [APP], "initContainers": [EARLIER]},
    "a pod with a volume": {"containers": [APP], "volumes": [VOLUME]},
    "a pod with both": {"containers": [APP], "initContainers": [EARLIER], "volumes": [VOLUME]},
}


def policy() -> dict[str, Any]:
    (found,) = [
        one for one in kustomize(KUBERNETES / "injection") if one["kind"] == "MutatingAdmissionPolicy"
    ]
    return found


class Message(celtypes.MapType):
    """A section. The name of its class is the name of its type."""

    def __init__(self, fields: Any = None) -> None:
        super().__init__(fields or {})


def evaluate(expression: str, pod: dict[str, Any], **variables: str) -> Any:
    """The result of an expression for a pod."""
    # The evaluator accepts only plain type names.
    names = set(re.findall(r"\b(Object[\w.]*|JSONPatch)\{", expression))
    for name in names:
        expression = expression.replace(f"{name}{{", f"{name.replace('.', '_')}{{")
    types = {name.replace(".", "_"): type(name, (Message,), {}) for name in names}
    environment = celpy.Environment(annotations=types)
    program = environment.program(environment.compile(expression))
    return program.evaluate({"object": celpy.json_to_cel(pod), "variables": celpy.json_to_cel(variables)})


def plain(value: Any, place: str) -> Any:
    """The value as JSON. Fails where the API server would: it expects a type for each path."""
    if isinstance(value, Message):
        assert type(value).__name__ == place
        return {str(key): plain(one, f"{place}.{key}") for key, one in value.items()}
    if isinstance(value, celtypes.MapType):
        assert all(isinstance(one, celtypes.StringType) for one in value.values()), (
            f"{place}: not of one type"
        )
        return {str(key): str(one) for key, one in value.items()}
    if isinstance(value, list):
        assert len({type(one) for one in value}) <= 1, f"{place}: not of one type"
        return [plain(one, place) for one in value]
    if isinstance(value, celtypes.BoolType):
        return bool(value)
    assert isinstance(value, celtypes.IntType | celtypes.StringType), value
    return int(value) if isinstance(value, celtypes.IntType) else str(value)


def variables() -> dict[str, str]:
    made = {}
    for one in policy()["spec"]["variables"]:
        made[one["name"]] = str(evaluate(one["expression"], {}))
    return made


def injected(spec: dict[str, Any]) -> dict[str, Any]:
    """The pod after the policy's patch."""
    pod = copy_of(
        [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": LABEL}, "spec": spec}]
    )[0]
    (mutation,) = policy()["spec"]["mutations"]
    for step in evaluate(mutation["jsonPatch"]["expression"], pod, **variables()):
        assert str(step["op"]) == "add"
        *parents, last = str(step["path"]).split("/")[1:]
        place = "Object." + ".".join(part for part in [*parents, last] if not re.fullmatch(r"\d+|-", part))
        holder: Any = pod
        for part in parents:
            holder = holder[part]
        value = plain(step["value"], place)
        if isinstance(holder, list):
            holder.insert(len(holder) if last == "-" else int(last), value)
        else:
            holder[last] = value
    return pod


def by_component(
    spec: dict[str, Any], folder: Path, written: Callable[[object], str] = yaml.safe_dump
) -> dict[str, Any]:
    """The same pod in a Deployment with the Component."""
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec},
        },
    }
    component = os.path.relpath(KUBERNETES / "sidecar", folder.resolve())
    (folder / "app.yaml").write_text(written(deployment))
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["app.yaml"], "components": [component]})
    )
    return find(kustomize(folder), "Deployment", "app")["spec"]["template"]["spec"]


@pytest.mark.parametrize("spec", PODS.values(), ids=PODS)
def test_the_admission_policy_adds_the_same_as_the_component(spec, tmp_path) -> None:
    pod = injected(spec)
    kubernetes_validate.validate(pod, "1.37", strict=True)
    wanted = by_component(spec, tmp_path)
    for volume in wanted["volumes"]:
        if volume["name"] == "wellbeing-config":
            # The policy refers to the name without a hash.
            volume["configMap"]["name"] = re.sub("-[a-z0-9]{10}$", "", volume["configMap"]["name"])
    assert pod["spec"]["initContainers"] == wanted["initContainers"]
    assert pod["spec"]["initContainers"][0]["name"] == "wellbeing-sidecar"
    assert {one["name"]: one for one in pod["spec"]["volumes"]} == {
        one["name"]: one for one in wanted["volumes"]
    }


def test_only_a_labelled_pod_without_a_sidecar_gets_one() -> None:
    constraints = policy()["spec"]["matchConstraints"]
    assert constraints["objectSelector"]["matchLabels"] == LABEL
    (condition,) = policy()["spec"]["matchConditions"]
    for spec in PODS.values():
        assert bool(evaluate(condition["expression"], {"spec": spec})) is True
        assert bool(evaluate(condition["expression"], injected(spec))) is False


def test_the_binding_refers_to_the_policy() -> None:
    binding = find(kustomize(KUBERNETES / "injection"), "MutatingAdmissionPolicyBinding", "wellbeing-sidecar")
    assert binding["spec"]["policyName"] == policy()["metadata"]["name"]


@pytest.mark.parametrize("spec", PODS.values(), ids=PODS)
def test_the_component_accepts_a_deployment_in_json(spec, tmp_path) -> None:
    """kustomize keeps the JSON style and adds to it."""
    styles = {"yaml": yaml.safe_dump, "json": json.dumps}
    built = []
    for name, written in styles.items():
        (tmp_path / name).mkdir()
        built.append(by_component(spec, tmp_path / name, written))
    assert built[0] == built[1]


def test_a_section_of_the_wrong_type_is_caught() -> None:
    with pytest.raises(AssertionError):
        plain(evaluate('Object.spec.volumes{name: "x"}', {}), "Object.spec.initContainers")
    with pytest.raises(AssertionError, match="not of one type"):
        plain(evaluate('{"name": "x", "port": 1}', {}), "Object.spec")


def test_the_committed_files_equal_what_the_program_builds() -> None:
    assert stale() == [], "run `make manifests`"


def test_a_manual_change_of_a_generated_file_is_detected(tmp_path, monkeypatch) -> None:
    text = (KUBERNETES / "injection" / "policy.yaml").read_text()
    changed = tmp_path / "policy.yaml"
    changed.write_text(text.replace("failureThreshold: 60", "failureThreshold: 61"))
    monkeypatch.setattr("deploy.build.POLICY", changed)
    assert stale() == [changed]
    assert load(text)
