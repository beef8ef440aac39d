"""Runs the commands of docs/how-to/kubernetes in a shell, and its snippets as files, as far as possible
without a cluster."""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.kubernetes import (
    KUBERNETES,
    ROOT,
    Object,
    container_of,
    environment,
    find,
    guide,
    kustomize,
    load,
    pod_of,
    sidecar_config,
    snippets,
    workloads,
)
from harness.manifest_checks import ALERTMANAGER, SECRETS
from harness.monitoring import Alertmanager
from harness.ports import free_port
from harness.process import program
from harness.sidecar import Sidecar

STAND_IN = Path(__file__).with_name("kubectl_without_a_cluster.py")
POD = "qwen-6d5f9-a"
IMAGE = "registry.example.com/wellbeing-sidecar:0.2.0"


class Shell:
    """A shell in a copy of the repository, without a cluster and without a container engine."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        for name in ("deploy", "alerts", "dashboards"):
            shutil.copytree(ROOT / name, self.tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.guide = folder / "guide"
        programs = folder / "programs"
        for one in (self.guide, programs):
            one.mkdir()
        (self.guide / "pods").write_text(POD)
        self._docker = self.guide / "docker"
        python = shlex.quote(sys.executable)
        stand_ins = {
            "kubectl": f'exec {python} {STAND_IN} "$@"',
            "docker": f'echo "$@" >>{self._docker}',
            "wellbeing-sidecar": f'exec {python} -m sidecar "$@"',
        }
        for name, line in stand_ins.items():
            (programs / name).write_text(f"#!/bin/sh\n{line}\n")
            (programs / name).chmod(0o755)
        # If one of these programs is missing, the test fails here.
        needed = {str(Path(program(name)).parent): name for name in ("amtool", "curl", "openssl")}
        self._env = {
            "PATH": os.pathsep.join([str(programs), *needed, os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "GUIDE": str(self.guide),
            "REAL_KUBECTL": program("kubectl"),
        }
        self.replacements: dict[str, str] = {}

    def paste(self, *blocks: str, **env: str) -> str:
        """Run these blocks, with local addresses in place of those of a cluster."""
        text = "\n".join(blocks)
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            check=False,
            cwd=self.tree,
            env={**self._env, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def applied(self) -> list[Object]:
        return load((self.guide / "applied.yaml").read_text())

    def docker(self) -> list[str]:
        return self._docker.read_text().splitlines()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_guide_ends_at_a_paused_pod(shell: Shell, tmp_path: Path) -> None:
    blocks = snippets("sh", "From nothing to a paused pod")
    image, secrets, apply, arrive, alert, status, resume, gate = blocks
    shell.paste(image, secrets, apply)
    assert shell.docker() == [f"build -f deploy/Dockerfile -t {IMAGE} .", f"push {IMAGE}"]
    objects = shell.applied()
    (secret,) = [one for one in objects if one["kind"] == "Secret"]
    assert secret["metadata"]["name"] == "wellbeing-tokens"
    assert set(secret["data"]) == SECRETS["wellbeing-tokens"]
    workload = find(objects, "Deployment", "qwen")
    container = container_of(workload, "wellbeing-sidecar")
    assert container["image"] == IMAGE

    tokens = tmp_path / "tokens"
    tokens.mkdir()
    for name, value in secret["data"].items():
        (tokens / name).write_bytes(base64.b64decode(value))
    with Alertmanager("http://127.0.0.1:9/") as alertmanager:
        config = sidecar_config(objects, workload, container)
        name, namespace, port = ALERTMANAGER
        inside, outside = free_port(), free_port()
        for old, new in (
            (f"{name}.{namespace}.svc:{port}", alertmanager.address),
            ("/etc/wellbeing/tokens", str(tokens)),
            ("127.0.0.1:9477", f"127.0.0.1:{inside}"),
            ("0.0.0.0:9478", f"127.0.0.1:{outside}"),
        ):
            assert old in config
            config = config.replace(old, new)
        shell.replacements = {
            f"127.0.0.1:{port}": alertmanager.address,
            "127.0.0.1:9478": f"127.0.0.1:{outside}",
            "/etc/wellbeing/tokens": str(tokens),
        }
        env = environment(container, "team-a", POD)
        with Sidecar(yaml.safe_load(config), env, store="memory:", listen_flag=False) as sidecar:
            sidecar.url = f"http://127.0.0.1:{outside}"
            sidecar.session.headers["Authorization"] = f"Bearer {(tokens / 'operator').read_text()}"
            rules = find(objects, "PrometheusRule", "wellbeing-watchdog")["spec"]["groups"][0]["rules"]
            alertmanager.fire(rules[0]["alert"], **rules[0]["labels"])
            shell.paste(arrive, alert)
            scope = environment(container_of(workload, "vllm"), "team-a", POD)["WELLBEING_SCOPE"]
            sidecar.wait_for_gate(scope, "closed")
            said = shell.paste(status, POD=POD)
            assert re.search(r"^\S+ +distressed +closed ", said, re.MULTILINE), said
            assert "trying it" in said
            shell.paste(resume, POD=POD)
            assert sidecar.status(scope)["gate"] == "open"
    # The page names the overlay of the gate; the commands for it are those above.
    (overlay,) = re.findall(r"`(deploy/\S+/central-gate)`", guide())
    shell.paste(f"kubectl apply -k {overlay}", gate)


def test_the_commands_of_the_other_sections_apply_the_policy_config_and_rules(shell: Shell) -> None:
    for section in ("Your own Deployment", "Without the operator"):
        for block in snippets("sh", section):
            shell.paste(block)
    objects = shell.applied()
    (policy,) = [one for one in objects if one["kind"] == "MutatingAdmissionPolicy"]
    config = find(objects, "ConfigMap", "wellbeing-sidecar")
    assert f'name: "{config["metadata"]["name"]}"' in str(policy["spec"]["mutations"])
    assert set(config["data"]) == {"sidecar.yaml"}
    assert find(objects, "ConfigMap", "wellbeing-rules")


def test_one_command_installs_into_another_namespace(shell: Shell) -> None:
    (command,) = re.findall(r"`(grep -rl team-a[^`]*)`", guide())
    shell.paste(command)
    folders = sorted((shell.tree / "deploy").rglob("kustomization.yaml"))
    built = [kustomize(one.parent) for one in folders if "kind: Kustomization" in one.read_text()]
    texts = [str(one) for one in built]
    assert not [text for text in texts if "team-a" in text]
    assert "http://wellbeing-gate.your-namespace.svc:9477" in "".join(texts)


def test_the_snippet_for_your_own_deployment_builds_with_your_config(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "config").mkdir(parents=True)
    named = {
        match[1]: text
        for text in snippets("yaml", "Your own Deployment")
        if (match := re.match(r"# (\S+)\n", text))
    }
    assert set(named) == {"kustomization.yaml", "config/kustomization.yaml"}
    for name, text in named.items():
        path = os.path.relpath(KUBERNETES, folder.resolve())
        (folder / name).write_text(text.replace("path/to/deploy/kubernetes", path))
    (folder / "config" / "sidecar.yaml").write_text("listen: 0.0.0.0:9478\n")
    vllm = [one for one in kustomize(KUBERNETES / "vllm") if one["kind"] == "Deployment"]
    (folder / "your-deployment.yaml").write_text(yaml.safe_dump_all(vllm))
    objects = kustomize(folder)
    (workload,) = workloads(objects)
    container = container_of(workload, "wellbeing-sidecar")
    assert container["image"] == IMAGE
    assert sidecar_config(objects, workload, container) == "listen: 0.0.0.0:9478\n"
    assert len([one for one in objects if one["kind"] == "ConfigMap"]) == 1


def test_each_platform_snippet_scrapes_its_engine_and_lets_requests_finish() -> None:
    checked = 0
    monitor = find(kustomize(KUBERNETES / "operator"), "PodMonitor", "vllm")["spec"]
    ((label, value),) = monitor["selector"]["matchLabels"].items()
    expected = (f"{label}: {value}", f"name: {monitor['podMetricsEndpoints'][0]['port']},")
    for text in snippets("yaml", "Pods that a platform deploys"):
        assert load(text)
        if "WELLBEING_CLIENT_WAIT_SECS" not in text:
            continue
        wait = int(re.findall(r'WELLBEING_CLIENT_WAIT_SECS, value: "(\d+)"', text)[0])
        grace = int((re.findall(r"terminationGracePeriodSeconds: (\d+)", text) or ["30"])[0])
        assert wait + 15 <= grace
        assert "wellbeing-sidecar: enabled" in text
        # The controller of that platform sets it.
        if "LLMInferenceService" not in text:
            assert 0 < int(re.findall(r'--shutdown-timeout, "(\d+)"', text)[0]) < grace
        charts = re.search(r"(?i)\b(service|pod)monitor: \{enabled: true", text)
        assert charts or "kind: PodMonitor" in text or all(one in text for one in expected)
        checked += 1
    assert checked == 4


def test_the_guide_gives_the_shutdown_times_of_the_manifests() -> None:
    text = " ".join(guide().split())
    workload = find(kustomize(KUBERNETES / "overlays" / "vllm"), "Deployment", "qwen")
    vllm = container_of(workload, "vllm")
    env = environment(vllm, "team-a", POD)
    drain = vllm["args"][vllm["args"].index("--shutdown-timeout") + 1]
    assert f"`--shutdown-timeout` ({drain} s here)" in text
    assert f"`terminationGracePeriodSeconds` ({pod_of(workload)['terminationGracePeriodSeconds']})" in text
    assert f"`WELLBEING_CLIENT_WAIT_SECS` ({env['WELLBEING_CLIENT_WAIT_SECS']})" in text
    assert f"`http://{ALERTMANAGER[0]}.{ALERTMANAGER[1]}.svc:{ALERTMANAGER[2]}`" in text
