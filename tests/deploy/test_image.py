"""Executes the steps of the Dockerfile, and runs the result as the manifest specifies, without a container
engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.image import Container, Stage, build, instructions
from harness.kubernetes import (
    KUBERNETES,
    ROOT,
    container_of,
    environment,
    find,
    kustomize,
    pod_of,
    sidecar_config,
)
from harness.process import eventually
from sidecar import __version__

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
UID = 65532
TOKENS = {name: f"the-token-of-{name}" for name in ("alertmanager", "prometheus", "operator")}
MOST_MIB = 60

ROOT_ONLY = pytest.mark.skipif(
    os.getuid() != 0 and "CI" not in os.environ, reason="namespaces with a uid of their own need root"
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("image")
    # Users other than root need access.
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.getuid() and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o111)
    return build(DOCKERFILE, ROOT, folder)


class Pod:
    """The sidecar of the vLLM overlay's pod."""

    def __init__(self, image: Stage, folder: Path) -> None:
        objects = kustomize(KUBERNETES / "overlays" / "vllm")
        self.workload = find(objects, "Deployment", "qwen")
        self.manifest = container_of(self.workload, "wellbeing-sidecar")
        config, tokens, self.state = (folder / name for name in ("config", "tokens", "state"))
        for one in (config, tokens, self.state):
            one.mkdir()
        (config / "sidecar.yaml").write_text(sidecar_config(objects, self.workload, self.manifest))
        for name, token in TOKENS.items():
            (tokens / name).write_text(token)
        # Same mode as an emptyDir.
        self.state.chmod(0o777)
        paths = {one["name"]: one["mountPath"] for one in self.manifest["volumeMounts"]}
        self._mounts = {paths["wellbeing-config"]: config, paths["wellbeing-tokens"]: tokens}
        self._state = (paths["wellbeing-state"], self.state)
        self.ports = {one["name"]: one["containerPort"] for one in self.manifest["ports"]}
        self._image = image

    def start(self) -> Container:
        env = environment(self.manifest, "team-a", "qwen-0")
        uid = self.manifest["securityContext"]["runAsUser"]
        return Container(self._image, self.manifest["args"], env, uid, self._mounts, self._state)

    def wait(self, container: Container) -> None:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            eventually(
                lambda name=name: container.probe(self.manifest[name], self.ports), f"the {name} succeeds"
            )


@pytest.fixture
def pod(image: Stage, tmp_path: Path) -> Pod:
    return Pod(image, tmp_path)


def command_line(container: Container, image: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The image's own command line, in the container's network."""
    code = "import os, sys; os.chroot(sys.argv[1]); os.execvp(sys.argv[2], sys.argv[2:])"
    path = image.env["PATH"].split(":")[0]
    return container.run_python(code, f"/proc/{container.pid}/root", f"{path}/wellbeing-sidecar", *arguments)


@ROOT_ONLY
def test_the_installed_packages_are_locked_and_small_and_include_no_installer(image: Stage) -> None:
    packages = image.folder / "opt/wellbeing"
    installed = {
        re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower(): path.name.split("-")[1].removesuffix(
            ".dist"
        )
        for path in packages.glob("lib/python*/site-packages/*.dist-info")
    }
    locked = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    assert installed.pop("wellbeing-sidecar") == __version__
    assert installed == locked
    size = sum(path.lstat().st_size for path in packages.rglob("*") if not path.is_dir()) / 2**20
    print(f"\n/opt/wellbeing has {size:.1f} MiB")
    assert size < MOST_MIB
    writable = [path for path in packages.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []


@ROOT_ONLY
def test_the_image_has_the_user_ports_and_folders_that_the_manifests_expect(image: Stage) -> None:
    assert image.metadata["USER"] == f"{UID}:{UID}"
    assert image.metadata["STOPSIGNAL"] == "SIGTERM"
    assert image.metadata["EXPOSE"].split() == ["9477", "9478"]
    assert f'version="{__version__}"' in image.metadata["LABEL"]
    assert re.search(rf"^wellbeing:.:{UID}:{UID}:", (image.folder / "etc/passwd").read_text(), re.MULTILINE)
    assert (image.folder / "var/lib/wellbeing").stat().st_uid == UID
    names = {name for name, _ in instructions(DOCKERFILE)}
    assert {"HEALTHCHECK", "LABEL", "ENTRYPOINT"} <= names
    froms = [value for name, value in instructions(DOCKERFILE) if name == "FROM"]
    assert [value.rpartition(" ")[2] for value in froms] == ["build", "client", "sidecar"]
    assert "latest" not in DOCKERFILE.read_text()


@ROOT_ONLY
def test_the_image_starts_by_the_manifests_command_and_stops_at_sigterm(
    image: Stage, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pod.start() as container:
        pod.wait(container)
        status = container.status()
        assert status["Uid"].split() == [str(UID)] * 4
        assert status["Gid"].split() == [str(UID)] * 4
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["NSpid"].split()[-1] == "1", (
            "it is the first process, which signals do not end by themselves"
        )
        with pytest.raises(OSError, match="Read-only"):
            Path(f"/proc/{container.pid}/root/opt/wellbeing/x").touch()
        assert (pod.state / "wellbeing.db").stat().st_uid == UID
        # Docker passes the proxies of its client's config to containers.
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        health = json.loads(image.metadata["HEALTHCHECK"].partition("CMD ")[2])
        assert container.run_python(health[2]).returncode == 0
        code, seconds = container.terminate()
    print(f"\nSIGTERM to the end: {seconds:.2f} s")
    assert code == 0
    assert seconds < pod_of(pod.workload)["terminationGracePeriodSeconds"] / 2


@ROOT_ONLY
def test_a_pod_with_a_closed_gate_is_healthy_and_shutdown_answers_its_waiters(image: Stage, pod: Pod) -> None:
    with pod.start() as container:
        pod.wait(container)
        token = "/etc/wellbeing/tokens/operator"
        url = f"http://127.0.0.1:{pod.ports['wellbeing']}"
        options = ("--url", url, "--token-file", token)
        paused = command_line(container, image, "pause", "team-a", "--reason", "a test", *options)
        assert paused.returncode == 0, paused.stderr
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container.probe(pod.manifest[name], pod.ports), name
        # Workers in the pod need no token on loopback, but need one at the pod's address.
        assert container.ask(9477, "/v1/gate/team-a/qwen?wait=0") == 503
        assert container.ask(9478, "/v1/gate/team-a/qwen?wait=0") == 401
        parked = container.request(9477, "/v1/gate/team-a/qwen?wait=60")

        def waiters() -> bool:
            shown = command_line(container, image, "status", "team-a", "--json", *options)
            return '"waiters": 1' in shown.stdout

        eventually(waiters, "somebody waits")
        code, _ = container.terminate()
        assert code == 0
        assert parked.communicate(timeout=60)[0].strip() == "503"


@ROOT_ONLY
def test_a_pause_survives_a_restart_of_the_container(image: Stage, pod: Pod) -> None:
    options = ("--url", "http://127.0.0.1:9478", "--token-file", "/etc/wellbeing/tokens/operator")
    with pod.start() as container:
        pod.wait(container)
        assert (
            command_line(container, image, "pause", "team-a", "--reason", "a test", *options).returncode == 0
        )
        container.kill()
    with pod.start() as container:
        pod.wait(container)
        assert container.ask(9477, "/v1/gate/team-a/qwen?wait=0") == 503


@ROOT_ONLY
def test_the_client_works_if_only_requests_is_installed(image: Stage, tmp_path: Path) -> None:
    """As in vLLM's container: the copied folder is on PYTHONPATH, and the server's dependencies are not
    installed."""
    deployment = find(kustomize(KUBERNETES / "overlays" / "vllm"), "Deployment", "qwen")
    command = container_of(deployment, "wellbeing-client")["command"]
    client = tmp_path / "client"
    client.mkdir()
    *copy, source, target = command
    assert target == "/client/"
    subprocess.run([*copy, f"{image.folder}{source}", str(client)], check=True)
    arguments = container_of(deployment, "vllm")["args"]
    middleware = arguments[arguments.index("--middleware") + 1]
    module, _, name = middleware.rpartition(".")
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('flask', 'gunicorn', 'uvicorn', 'yaml', 'httptools', 're2', 'bcrypt', 'a2wsgi', 'prometheus_client'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        f"import {module} as module\n"
        f"assert module.__file__.startswith({str(client)!r}), module.__file__\n"
        f"print(module.{name}.__name__)\n"
    )
    done = subprocess.run(
        [str(Path(os.sys.executable)), "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path,
        env={"PYTHONPATH": str(client), "PATH": os.defpath}, timeout=60,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (name, "")
