"""Writes the manifests that repeat what stands elsewhere; with ``--check``, says whether they are up to date.

A PrometheusRule is a file of ``alerts/``; the policy that injects the sidecar adds the container of the
Component; the mixin has rules and dashboards as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from . import mixin

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
RULES = KUBERNETES / "operator" / "rules"
POLICY = KUBERNETES / "injection" / "policy.yaml"
_COMPONENT = KUBERNETES / "sidecar" / "container.yaml"
_LABEL = {"wellbeing-sidecar": "enabled"}
_MAPS = ("requests", "limits")
"""Fields that are maps: what their keys are is the user's to say."""


class _Dumper(yaml.SafeDumper):
    """Text of several lines stands as it is read."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _dump(manifest: Mapping[str, Any], source: str) -> str:
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    return f"# Built from {source} by `make manifests`.\n{text}"


# -- rules ----------------------------------------------------------------------------------------------


def rule_files() -> dict[Path, Path]:
    """The rule files, and where the PrometheusRule of each is."""
    files = sorted((ROOT / "alerts").glob("*.rules.yml"))
    return {file: RULES / f"{file.name.partition('.')[0]}.yaml" for file in files}


def prometheus_rule(file: Path) -> str:
    """The PrometheusRule with the groups of a rule file."""
    name = f"wellbeing-{file.name.partition('.')[0]}"
    groups = yaml.safe_load(file.read_text())["groups"]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name},
        "spec": {"groups": groups},
    }
    return _dump(manifest, f"alerts/{file.name}")


def rules_kustomization() -> str:
    """What has kustomize take all of them."""
    manifest = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [target.name for target in rule_files().values()],
    }
    return _dump(manifest, "alerts/")


# -- the policy -----------------------------------------------------------------------------------------


def expression(value: object, type_name: str, indent: int = 0) -> str:
    """``value`` in CEL, as admission policies have it.

    Lists and maps there are of one type, so every section is an object of the type that its place names.

    Args:
        value: as YAML has it.
        type_name: of the place, as ``Object.spec.volumes``.
        indent: of the line that it begins on.
    """
    inner = " " * (indent + 2)
    if isinstance(value, Mapping):
        is_map = type_name.rpartition(".")[2] in _MAPS
        rows = []
        for key, one in value.items():
            name = json.dumps(key) if is_map else key
            rows.append(f"{inner}{name}: {expression(one, f'{type_name}.{key}', indent + 2)}")
        begin = "{" if is_map else f"{type_name}{{"
        return begin + "\n" + ",\n".join(rows) + "\n" + " " * indent + "}" if rows else begin + "}"
    if isinstance(value, list):
        rows = [f"{inner}{expression(one, type_name, indent + 2)}" for one in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    if value == _image():
        return "variables.image"
    return json.dumps(value, ensure_ascii=False)


def _pod() -> dict[str, Any]:
    pod: dict[str, Any] = yaml.safe_load(_COMPONENT.read_text())["spec"]["template"]["spec"]
    return pod


def _image() -> str:
    image: str = _pod()["initContainers"][0]["image"]
    return image


def _patches(pod: Mapping[str, Any]) -> str:
    """The expression of the JSON patch that adds what ``pod`` has to any pod."""
    (container,) = pod["initContainers"]
    add = 'JSONPatch{op: "add", path: "/spec/'
    steps = [
        f'has(object.spec.initContainers) ? [] : [{add}initContainers", value: []}}]',
        # First, so that other init containers may ask it.
        f'[{add}initContainers/0", value: {expression(container, "Object.spec.initContainers")}}}]',
        f'has(object.spec.volumes) ? [] : [{add}volumes", value: []}}]',
        *(f'[{add}volumes/-", value: {expression(one, "Object.spec.volumes")}}}]' for one in pod["volumes"]),
    ]
    return " +\n".join(f"({step})" for step in steps) + "\n"


def policy() -> str:
    """The policy that injects the sidecar into pods that ask for it by their label, and its binding."""
    name = "wellbeing-sidecar"
    api = "admissionregistration.k8s.io/v1"
    absent = (
        "!has(object.spec.initContainers) || "
        f'!object.spec.initContainers.exists(one, one.name == "{_pod()["initContainers"][0]["name"]}")'
    )
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    manifests = (
        {
            "apiVersion": api,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "matchConstraints": {
                    "objectSelector": {"matchLabels": _LABEL},
                    "resourceRules": [rule],
                },
                "matchConditions": [{"name": "has-no-sidecar", "expression": absent}],
                "variables": [{"name": "image", "expression": json.dumps(_image())}],
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _patches(_pod())}}],
            },
        },
        {
            "apiVersion": api,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    )
    source = "deploy/kubernetes/sidecar/container.yaml"
    return "---\n".join(_dump(one, source) for one in manifests)


# -- all of it ------------------------------------------------------------------------------------------


def built() -> dict[Path, Callable[[], str]]:
    """What is written, and what writes it."""
    rules: dict[Path, Callable[[], str]] = {
        target: lambda file=file: prometheus_rule(file)  # type: ignore[misc]
        for file, target in rule_files().items()
    }
    return {**rules, RULES / "kustomization.yaml": rules_kustomization, POLICY: policy, **mixin.files()}


def stale() -> list[Path]:
    """What is not as it would be built, or would not be built any more."""
    wanted = built()
    wrong = [path for path, build in wanted.items() if not path.exists() or path.read_text() != build()]
    written = [*RULES.glob("*.yaml"), *mixin.MIXIN.glob("*/*")]
    return wrong + [path for path in sorted(written) if path not in wanted]


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wrong, wanted = stale(), built()
    for path in wrong:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name}: differs from the program: run `make manifests`")
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path]())
            print(f"{name}: written")
        else:
            path.unlink()
            print(f"{name}: removed")
    return 1 if check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
