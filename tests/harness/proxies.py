"""Runs the proxies of examples/proxies unchanged, except for their ports and their scope."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .process import Process, program

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "proxies"


@dataclass(frozen=True)
class Kind:
    """A proxy.

    Attributes:
        files: its files in examples/proxies; the first one is the config.
        command: the command that runs it, from the folder with the files and the front port.
        refused: the status of a refusal.
        without_sidecar: the status of a request without a sidecar.
        notices: whether it ends a client's wait when the client disconnects.
        chunks: whether tests send it their bodies in chunks. Go's ReverseProxy can cut a response that begins
            before it has read past the end of a body with a length ("http: invalid Read on closed Body").
        fail_closed: the text that makes it refuse without a sidecar, what it replaces, and the status.
    """

    files: tuple[str, ...]
    command: Callable[[Path, int], list[str]]
    refused: int = 503
    without_sidecar: int = 200
    notices: bool = True
    chunks: bool = False
    fail_closed: tuple[str, str, int] | None = None


def _nginx(folder: Path, _: int) -> list[str]:
    given = ["-g", f"daemon off; pid {folder}/pid;"]
    return [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", f"{folder}/nginx.conf", *given]


def _haproxy(folder: Path, _: int) -> list[str]:
    return [program("haproxy"), "-db", "-f", f"{folder}/haproxy.cfg"]


def _envoy(folder: Path, _: int) -> list[str]:
    given = ["--concurrency", "1", "--log-level", "warn", "--disable-hot-restart"]
    return [program("envoy"), "-c", f"{folder}/envoy.yaml", *given]


def _traefik(folder: Path, front: int) -> list[str]:
    given = [
        "--global.checknewversion=false",
        "--log.level=ERROR",
        f"--entrypoints.web.address=127.0.0.1:{front}",
    ]
    return [program("traefik"), f"--providers.file.filename={folder}/traefik-dynamic.yaml", *given]


def _caddy(folder: Path, _: int) -> list[str]:
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]


KINDS = {
    "nginx": Kind(("nginx.conf",), _nginx, fail_closed=("return 200;", "return 403;", 503)),
    "haproxy": Kind(
        ("haproxy.cfg", "wellbeing.lua"),
        _haproxy,
        notices=False,
        fail_closed=("FAIL_OPEN = true", "FAIL_OPEN = false", 503),
    ),
    "envoy": Kind(
        ("envoy.yaml",),
        _envoy,
        refused=429,
        fail_closed=("failure_mode_allow: true", "failure_mode_allow: false", 403),
    ),
    "traefik": Kind(("traefik-dynamic.yaml",), _traefik, without_sidecar=500, notices=False, chunks=True),
    "caddy": Kind(("Caddyfile",), _caddy, without_sidecar=502, notices=False),
}


class Program(Process):
    """A running program, as a context manager."""

    def __enter__(self) -> Self:
        return self


class Proxy(Program):
    """A running proxy before an engine.

    Args:
        name: the kind of proxy.
        folder: the folder of its files.
        ports: the ports that replace those in the files: front (8080), sidecar (9477), engine (8000).
        replace: a text in the files, and its replacement.
    """

    def __init__(
        self, name: str, folder: Path, ports: tuple[int, int, int], replace: tuple[str, str] | None = None
    ) -> None:
        self.name = name
        self.kind = KINDS[name]
        self.scope = f"{name}/llama"
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.front = ports[0]
        found = replace is None
        folder.mkdir(exist_ok=True)
        for file in self.kind.files:
            text = (EXAMPLES / file).read_text().replace("team-a/llama", self.scope)
            if replace:
                found |= replace[0] in text
                text = text.replace(*replace)
            for here, there in zip((8080, 9477, 8000), ports, strict=True):
                text = re.sub(rf"\b{here}\b", str(there), text)
            (folder / file).write_text(text)
        assert found, f"{replace} is not in {self.kind.files}"
        # Caddy keeps its files in the home directory, and listens for commands.
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "CADDY_ADMIN": f"unix//{folder}/admin"}
        super().__init__(self.kind.command(folder, ports[0]), folder, {**os.environ, **home})


class Engine(Program):
    """A server with OpenAI's routes and without a gate."""

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__(
            [sys.executable, str(ROOT / "tests" / "servers" / "openai_asgi.py"), str(port)], folder
        )
