"""A command in a shell script starts fast: it loads only the modules that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from sidecar.cli import main
status = main(sys.argv[1:])
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(status, *[f"{name}={'site-packages' in file}" for name, file in files.items()], file=sys.stderr)
"""
OF_EVERY_COMMAND = {
    "sidecar",
    "sidecar.cli",
    "sidecar.cli.commands",
    "sidecar.cli.exit_statuses",
    "sidecar.cli.interrupts",
    "sidecar.cli.output",
    "sidecar.cli.parser",
    "sidecar.cli.run",
    "sidecar.import_clash",
}
OF_GATE = OF_EVERY_COMMAND | {
    "sidecar.cli.arguments",
    "sidecar.cli.client_arguments",
    "sidecar.cli.gate",
    "sidecar.cli.sidecar_requests",
    "sidecar.client",
    "sidecar.client.access",
    "sidecar.client.connection",
    "sidecar.client.endpoint",
    "sidecar.client.errors",
    "sidecar.client.scope_path",
    "sidecar.client.transport",
    "sidecar.durations",
    "sidecar.scope_segments",
    "sidecar.unreachable",
}
SLOW = {"asyncio", "concurrent.futures", "importlib.metadata", "importlib.resources", "sqlite3"}


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("WELLBEING_")}


def modules_of(*arguments: str) -> tuple[int, set[str], set[str]]:
    """The exit status of a command, the modules that it loaded, and which of them are third-party modules."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        check=True, cwd=ROOT, env={**_environ(), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    status, *modules = done.stderr.splitlines()[-1].split()
    pairs = dict(one.rpartition("=")[::2] for one in modules)
    installed = {name for name, is_installed in pairs.items() if is_installed == "True"}
    # Development tools load modules at the start of every program, by their .pth files.
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return int(status), set(pairs), installed - set(before.stdout.split())


def test_the_gate_command_imports_only_what_one_request_needs(sidecar: Sidecar, scope: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for url, expected in ((sidecar.url, 0), (nobody, 1)):
        status, modules, installed = modules_of("gate", scope, "--wait", "5m", "--url", url)
        assert status == expected
        assert {name for name in modules if name.partition(".")[0] == "sidecar"} == OF_GATE
        assert not modules & (SLOW | {"dataclasses", "difflib", "hashlib", "logging", "shutil"})
        assert not installed


@pytest.mark.parametrize("arguments", [["token"], ["completion", "fish"], ["status"]])
def test_no_command_imports_a_package_that_it_does_not_need(sidecar: Sidecar, arguments: list[str]) -> None:
    url = ["--url", sidecar.url] if arguments == ["status"] else []
    status, modules, installed = modules_of(*arguments, *url)
    assert status == 0
    assert not modules & SLOW
    assert not installed
