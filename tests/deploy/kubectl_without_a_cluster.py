"""Replaces kubectl in tests without a cluster. Does the client-side part, and compares the rest with the
applied objects.

``$GUIDE`` is a folder. Its file ``applied.yaml`` has all objects applied so far, ``pods`` the names of the
pods.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

GUIDE = Path(os.environ["GUIDE"])
APPLIED = GUIDE / "applied.yaml"
KUBECTL = os.environ["REAL_KUBECTL"]


def real(*arguments: str) -> str:
    done = subprocess.run([KUBECTL, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def apply(text: str) -> None:
    with APPLIED.open("a") as file:
        file.write(f"---\n{text}")


def applied(kind: str, namespace: str) -> list[dict[str, Any]]:
    objects = yaml.load_all(APPLIED.read_text(), yaml.BaseLoader)
    found = [
        one
        for one in objects
        if one and one["kind"].lower() == kind and one["metadata"].get("namespace") == namespace
    ]
    assert found, f"no {kind} in {namespace}"
    return found


def deployment(namespace: str, container: str = "", **labels: str) -> dict[str, Any]:
    """The only Deployment with this container, or whose pods have these labels."""
    (found,) = [
        one
        for one in applied("deployment", namespace)
        for pod in [one["spec"]["template"]]
        if labels.items() <= pod["metadata"]["labels"].items()
        and (not container or container in {two["name"] for two in pod["spec"]["initContainers"]})
    ]
    return found


def main(verb: str, namespace: str, rest: list[str]) -> None:
    match verb, rest:
        case "apply", ["-k", folder]:
            apply(real("kustomize", folder))
        case "create", what:
            place = ["-n", namespace] if namespace else []
            apply(real(*place, "create", *what, "--dry-run=client", "-o", "yaml"))
        case "label", [kinds, "--all", label]:
            assert label.count("=") == 1
            for kind in kinds.split(","):
                applied(kind, namespace)
        case "rollout", ["status", what]:
            kind, _, name = what.partition("/")
            assert name in {one["metadata"]["name"] for one in applied(kind, namespace)}
        case "get", ["pods", "-l", selector, "-o", "jsonpath={.items[0].metadata.name}"]:
            deployment(namespace, **dict([selector.split("=")]))
            print((GUIDE / "pods").read_text().split()[0])
        case "port-forward", [service, port]:
            # The operator would create it; the test has started the server already.
            assert f"{service.removeprefix('svc/')}.{namespace}.svc:{port}" in APPLIED.read_text()
        case "exec", [pod, "-c", container, "--", *command]:
            assert pod in (GUIDE / "pods").read_text().split()
            deployment(namespace, container)
            os.execvp(command[0], command)
        case _:
            raise SystemExit(f"not known: {verb} {rest}")


if __name__ == "__main__":
    given = sys.argv[1:]
    where = given[1] if given[0] == "-n" else ""
    verb, *rest = given[2:] if where else given
    main(verb, where, rest)
