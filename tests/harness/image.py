"""Builds and runs a container image without a container engine: each stage of the Dockerfile in its own root.

A root has the folders of this system and its Python, read-only, instead of the base image. Everything else comes
from the Dockerfile.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from .process import eventually, program

ROOT = Path(__file__).parents[2]
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc/ssl", "etc/alternatives")
PASSED = re.compile(r"(?i)(https?|no)_proxy|PIP_.*|SSL_CERT_FILE|REQUESTS_CA_BUNDLE")
PYTHON = Path(sys.base_prefix)


@dataclass
class Stage:
    """A built stage of the Dockerfile.

    Attributes:
        folder: its root.
        env: the variables of ENV.
        workdir: the folder in which commands run.
        metadata: arguments of the other instructions, by their name.
    """

    folder: Path
    env: dict[str, str]
    workdir: str = "/"
    metadata: dict[str, str] = field(default_factory=dict)


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Name and arguments of each instruction."""
    text = "\n".join(line for line in dockerfile.read_text().splitlines() if not line.startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            name, _, arguments = line.partition(" ")
            yield name, arguments.strip()


def _local_indexes() -> list[str]:
    """The folders of this machine in which pip looks for packages, by its config and the environment."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    settings = [line for line in listed.splitlines() if re.search(r"index-url|find-links", line)]
    named = [Path(one) for one in re.findall(r"(?:file://|(?<=[' ]))(/[\w./-]+)", "\n".join(settings))]
    # The pages of an index link to files beside its folder.
    folders = {str(one.parent if one.name == "simple" else one) for one in named if one.is_dir()}
    return sorted(shlex.quote(one) for one in folders)


def _mounts(root: Path, *, writable: bool) -> str:
    """The shell commands that prepare ``root`` for programs, in a separate mount namespace."""
    where = shlex.quote(str(root))
    lines = ["set -e", f"mount --bind {where} {where}", f"cd {where}"]
    for name in (*SYSTEM, str(PYTHON).lstrip("/")):
        if Path("/", name).is_dir() and not Path("/", name).is_symlink():
            lines.append(f"mkdir -p {name} && mount --bind /{name} {name} && mount -o remount,bind,ro {name}")
        elif Path("/", name).is_symlink():
            lines.append(f"[ -L {name} ] || ln -s {Path('/', name).readlink()} {name}")
    lines.append("mkdir -p dev proc tmp && chmod 1777 tmp && mount -t tmpfs tmpfs dev")
    lines += [
        f"touch dev/{device} && mount --bind /dev/{device} dev/{device}"
        for device in ("null", "zero", "urandom")
    ]
    lines.append(
        "mkdir -m 1777 dev/shm && mount -t tmpfs -o mode=1777 tmpfs dev/shm && mount --bind /proc proc"
    )
    if writable:
        lines.append(
            "mkdir -p etc && for one in resolv.conf hosts pip.conf nsswitch.conf login.defs; do [ -e /etc/$one ] && cp -L /etc/$one etc/; done"
        )
        lines.append(
            "[ -e etc/passwd ] || { echo root:x:0:0:root:/root:/bin/sh >etc/passwd; echo root:x:0: >etc/group; }"
        )
        for folder in _local_indexes():
            lines.append(f"mkdir -p .{folder} && mount --bind {folder} .{folder}")
    return "\n".join(lines)


def _run(stage: Stage, command: str) -> None:
    env = {
        **{key: value for key, value in os.environ.items() if PASSED.fullmatch(key)},
        **stage.env,
        "HOME": "/tmp",
    }
    inside = ["chroot", str(stage.folder), "/bin/sh", "-c", f"cd {stage.workdir} && {command}"]
    script = f"{_mounts(stage.folder, writable=True)}\nexec {shlex.join(inside)}"
    done = subprocess.run(
        [program("unshare"), "--mount", "--propagation", "private", "/bin/sh", "-c", script],
        check=False,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _substitute(text: str, variables: dict[str, str]) -> str:
    """``text`` with the values of the known ``${NAME}``."""
    return re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], match[0]), text)


def build(dockerfile: Path, context: Path, folder: Path) -> Stage:
    """Build ``dockerfile`` in ``folder``. Returns the last stage."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    stage: Stage | None = None
    for name, written in instructions(dockerfile):
        value = _substitute(written, {**arguments, **(stage.env if stage else {})})
        if name == "ARG":
            key, _, default = value.partition("=")
            arguments.setdefault(key, default)
        elif name == "FROM":
            image, _, alias = value.partition(" AS ")
            assert image.startswith(("python:", "busybox:")), image
            stage = Stage(
                folder / (alias or "image"),
                {"PATH": f"{PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            )
            stage.folder.mkdir(parents=True)
            stage.folder.chmod(0o755)
            stages[alias] = stage
        elif name == "WORKDIR":
            stage.workdir = value
            (stage.folder / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "RUN":
            _run(stage, value)
        elif name == "COPY":
            _copy(stages, stage, context, value)
        elif name == "ENV":
            stage.env |= dict(part.split("=", 1) for part in shlex.split(value))
        else:
            stage.metadata[name] = value
    return stage


def _copy(stages: dict[str, Stage], stage: Stage, context: Path, value: str) -> None:
    *sources, target = value.split()
    source = context
    if sources[0].startswith("--from="):
        source = stages[sources.pop(0).removeprefix("--from=")].folder
    to = (
        stage.folder / target.lstrip("/")
        if target.startswith("/")
        else stage.folder / stage.workdir.lstrip("/") / target
    )
    for one in sources:
        path = source / one.lstrip("/")
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__") if source == context else None
            shutil.copytree(path, to, symlinks=True, dirs_exist_ok=True, ignore=ignore)
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to / path.name)


class Container:
    """A process of the image, started as by a kubelet: fixed uid, read-only root, mounts, separate network.

    Args:
        image: the image.
        arguments: arguments of the entrypoint.
        env: environment variables of the container.
        uid: user id of the process.
        mounts: folders by their mount paths, read-only.
        state: mount path of a writable folder, and the folder.
    """

    def __init__(
        self,
        image: Stage,
        arguments: list[str],
        env: dict[str, str],
        uid: int,
        mounts: dict[str, Path],
        state: tuple[str, Path],
    ) -> None:
        root = image.folder
        lines = [_mounts(root, writable=False)]
        for where, source in mounts.items():
            lines.append(
                f"mkdir -p .{where} && mount --bind {source} .{where} && mount -o remount,bind,ro .{where}"
            )
        lines.append(f"mount --bind {state[1]} .{state[0]}")
        # This does not change the mounts inside the folder.
        lines.append(f"mount -o remount,bind,ro {shlex.quote(str(root))}")
        lines.append(f"{shlex.quote(sys.executable)} -c {shlex.quote(_LOOPBACK_UP)}")
        drop = [
            "--reuid",
            str(uid),
            "--regid",
            str(uid),
            "--clear-groups",
            "--no-new-privs",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ]
        variables = [f"{key}={value}" for key, value in {**image.env, **env}.items()]
        entry = [*json.loads(image.metadata["ENTRYPOINT"]), *arguments]
        inside = ["setpriv", *drop, "env", "-i", "-C", image.workdir, *variables, *entry]
        lines.append(f"cd / && exec chroot {shlex.quote(str(root))} {shlex.join(inside)}")
        self.log = root.parent / "container.log"
        with self.log.open("w") as log:
            self._popen = subprocess.Popen(
                [program("unshare"), "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child",
                 "/bin/sh", "-c", "\n".join(lines)],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> Self:
        children = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children")
        self.pid = int(eventually(lambda: children.read_text().split(), "the process has started")[0])
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            self.kill()

    def kill(self) -> None:
        """Kill the process and its children, and wait until they have ended."""
        os.kill(self.pid, 9)
        self._popen.wait(30)

    def status(self) -> dict[str, str]:
        """The kernel's status of the first process."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def start_python(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Start Python in the network of the container."""
        command = [
            program("nsenter"),
            "--target",
            str(self.pid),
            "--net",
            sys.executable,
            "-c",
            code,
            *arguments,
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the network of the container until it ends."""
        with self.start_python(code, *arguments) as running:
            out, err = running.communicate(timeout=60)
        return subprocess.CompletedProcess(running.args, running.returncode, out, err)

    def request(self, port: int, path: str, host: str = "127.0.0.1") -> subprocess.Popen[str]:
        """Start a request that may wait. It prints the status of the response."""
        return self.start_python(ASK, f"http://{host}:{port}{path}")

    def ask(self, port: int, path: str, host: str = "127.0.0.1") -> int:
        """Send a request. Returns the status of the response; 0: there was none."""
        done = self.run_python(ASK, f"http://{host}:{port}{path}")
        return int(done.stdout or 0)

    def probe(self, probe: dict, ports: dict[str, int]) -> bool:
        """Whether a probe of the manifest succeeds by the rules of the kubelet."""
        self.alive()
        http = probe["httpGet"]
        return 200 <= self.ask(ports[http["port"]], http["path"]) < 400

    def alive(self) -> None:
        assert self._popen.poll() is None, self.log.read_text()

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM. Returns the exit status and the seconds until the process ended."""
        began = time.monotonic()
        os.kill(self.pid, 15)
        code = self._popen.wait(60)
        return code, time.monotonic() - began


_LOOPBACK_UP = """
import fcntl, socket, struct
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack('16sh14x', b'lo', 0x1 | 0x40))
"""
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=90).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)
"""
