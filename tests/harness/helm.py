"""Renders the Helm chart in ``deploy/helm`` with helm."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import yaml

from .kubernetes import ROOT, Object, load
from .process import program

CHART = ROOT / "deploy" / "helm" / "wellbeing-sidecar"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


def helm(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm. ``text`` is its standard input."""
    return subprocess.run(
        [program("helm"), *arguments], check=False, input=text, capture_output=True, text=True, timeout=60
    )


@functools.cache
def _rendered(values: Path) -> str:
    done = helm("template", "wellbeing", str(CHART), "--namespace", "team-a", "--values", str(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(name: str) -> list[Object]:
    """The objects of the chart with the values of ``ci/NAME-values.yaml``. The caller may change them."""
    return load(_rendered(CHART / "ci" / f"{name}-values.yaml"))


def rendered_with(values: Object, namespace: str = "team-a") -> list[Object]:
    """The objects of the chart with these values."""
    done = helm(
        "template", "wellbeing", str(CHART), "--namespace", namespace, "--values", "-", text=yaml.dump(values)
    )
    assert done.returncode == 0, done.stderr
    return load(done.stdout)


def refusal(values: Object) -> str:
    """What helm says of values that the chart refuses."""
    done = helm("template", "wellbeing", str(CHART), "--values", "-", text=yaml.dump(values))
    assert done.returncode != 0, done.stdout
    return done.stderr
