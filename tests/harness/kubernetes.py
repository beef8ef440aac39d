"""Builds the manifests in ``deploy/kubernetes`` with kustomize, and reads them as a kubelet does."""

from __future__ import annotations

import copy
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .process import program

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
GUIDE = ROOT / "docs" / "how-to" / "kubernetes"
Object = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """Reads a plain ``=`` as text. YAML 1.1 has a special type for it."""


_Loader.add_constructor("tag:yaml.org,2002:value", yaml.CSafeLoader.construct_yaml_str)


def load(text: str) -> list[Object]:
    """The objects in a text."""
    return [one for one in yaml.load_all(text, _Loader) if one]


@functools.cache
def _built(folder: Path) -> str:
    done = subprocess.run(
        [program("kubectl"), "kustomize", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kustomize(folder: Path) -> list[Object]:
    """The objects that kustomize builds. The caller may change them."""
    return load(_built(folder))


def kustomizations() -> list[Path]:
    """All folders that can be built alone. Components cannot."""
    return sorted(
        file.parent
        for file in KUBERNETES.rglob("kustomization.yaml")
        if yaml.safe_load(file.read_text())["kind"] == "Kustomization"
    )


def components() -> list[Path]:
    """The folders of Components."""
    return sorted(
        file.parent
        for file in KUBERNETES.rglob("kustomization.yaml")
        if yaml.safe_load(file.read_text())["kind"] == "Component"
    )


def find(objects: list[Object], kind: str, name: str) -> Object:
    """The only object of a kind and name. The name of a ConfigMap may end in a hash."""
    found = [
        one
        for one in objects
        if one["kind"] == kind
        and re.fullmatch(rf"{re.escape(name)}(-[a-z0-9]{{10}})?", one["metadata"]["name"])
    ]
    assert len(found) == 1, [one["metadata"]["name"] for one in objects]
    return found[0]


def workloads(objects: list[Object]) -> list[Object]:
    """Deployments and StatefulSets."""
    return [one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]


def pod_of(workload: Object) -> Object:
    """The pod's spec."""
    return workload["spec"]["template"]["spec"]


def containers_of(workload: Object) -> Iterator[Object]:
    """All containers, init containers first."""
    pod = pod_of(workload)
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def container_of(workload: Object, name: str) -> Object:
    """The container of this name."""
    (found,) = [one for one in containers_of(workload) if one["name"] == name]
    return found


def environment(container: Object, namespace: str, pod: str, ip: str = "10.0.0.1") -> dict[str, str]:
    """The environment that the kubelet sets, with the downward API and references to earlier variables."""
    fields = {"metadata.namespace": namespace, "metadata.name": pod, "status.podIP": ip}
    made: dict[str, str] = {}
    for one in container.get("env", []):
        if "valueFrom" in one:
            made[one["name"]] = fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            made[one["name"]] = re.sub(
                r"\$\((\w+)\)", lambda match: made.get(match[1], match[0]), one.get("value", "")
            )
    return made


def sidecar_config(objects: list[Object], workload: Object, container: Object) -> str:
    """The text of the config that ``container`` is started with."""
    arguments = container["args"]
    path = Path(arguments[arguments.index("--config") + 1])
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod_of(workload)["volumes"]}
    name = volumes[mounts[str(path.parent)]]["configMap"]["name"]
    (config,) = [one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name]
    return config["data"][path.name]


def guide() -> str:
    """The text of all pages of the guide, in order."""
    pages = sorted(GUIDE.glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
    return "\n".join(page.read_text() for page in pages)


def snippets(language: str, section: str = "") -> list[str]:
    """The code blocks of a language in the guide, or below one of its headings."""
    text = guide()
    if section:
        (text,) = re.findall(
            rf"^(#+) {re.escape(section)}\n(.*?)(?=^\1 |\Z)", text, re.MULTILINE | re.DOTALL
        )[0][1:]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def copy_of(objects: list[Object]) -> list[Object]:
    """A deep copy of ``objects``."""
    return copy.deepcopy(objects)
