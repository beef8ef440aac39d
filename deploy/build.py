"""Writes the generated manifests; ``--check`` reports whether they are up to date.

Each file of ``alerts/`` becomes a PrometheusRule. The container of the Component becomes part of the policy
that injects the sidecar. The rules and dashboards become the files of the mixin.
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
"""Fields that are maps: the user chooses the keys."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _dump(manifest: Mapping[str, Any], source: str) -> str:
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    return f"# Built from {source} by `make manifests`.\n{text}"


# -- rules ----------------------------------------------------------------------------------------------


def rule_files() -> dict[Path, Path]:
    """The rule files, each with the path of its PrometheusRule."""
    files = sorted((ROOT / "alerts").glob("*.rules.yml"))
    return {file: RULES / f"{file.name.partition('.')[0]}.yaml" for file in files}


def prometheus_rule(file: Path) -> str:
    """The PrometheusRule with the rule groups of a file."""
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
    """The kustomization that lists all PrometheusRules."""
    manifest = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [target.name for target in rule_files().values()],
    }
    return _dump(manifest, "alerts/")


# -- the policy -----------------------------------------------------------------------------------------


def expression(value: object, type_name: str, indent: int = 0) -> str:
    """``value`` as a CEL expression of an admission policy.

    A list or map in CEL has elements of one type. So every section is an object whose type is named after its
    path.

    Args:
        value: the value, parsed from YAML.
        type_name: the type's name, such as ``Object.spec.volumes``.
        indent: the indentation of its first line.
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
    """The expression of the JSON patch that adds the contents of ``pod`` to any pod."""
    (container,) = pod["initContainers"]
    add = 'JSONPatch{op: "add", path: "/spec/'
    steps = [
        f'has(object.spec.initContainers) ? [] : [{add}initContainers", value: []}}]',
        # It comes first, so that other init containers can ask it.
        f'[{add}initContainers/0", value: {expression(container, "Object.spec.initContainers")}}}]',
        f'has(object.spec.volumes) ? [] : [{add}volumes", value: []}}]',
        *(f'[{add}volumes/-", value: {expression(one, "Object.spec.volumes")}}}]' for one in pod["volumes"]),
    ]
    return " +\n".join(f"({step})" for step in steps) + "\n"


def policy() -> str:
    """The policy that injects the sidecar into labelled pods, and its binding."""
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
    """The files to write, each with the function that returns its text."""
    rules: dict[Path, Callable[[], str]] = {
        target: lambda file=file: prometheus_rule(file)  # type: ignore[misc]
        for file, target in rule_files().items()
    }
    return {**rules, RULES / "kustomization.yaml": rules_kustomization, POLICY: policy, **mixin.files()}


def stale() -> list[Path]:
    """The files that are out of date or no longer generated."""
    wanted = built()
    wrong = [path for path, build in wanted.items() if not path.exists() or path.read_text() != build()]
    written = [*RULES.glob("*.yaml"), *mixin.MIXIN.glob("*/*")]
    return wrong + [path for path in sorted(written) if path not in wanted]


def main() -> int:
    """Write the files, or check them."""
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
