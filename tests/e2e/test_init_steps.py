"""The commands that ``init`` prints work: Prometheus and Alertmanager start, and alerts reach the sidecar."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from harness.get_server import GetServer
from harness.ports import free_port
from harness.process import Process, program
from harness.sidecar import Sidecar
from sidecar.cli import main

# Debian's names of the programs, and more options: Debian's default is one data folder for all, and Prometheus sends
# an alert again only after a minute.
PROGRAMS = {
    "alertmanager": ("prometheus-alertmanager", ["--storage.path=alertmanager"]),
    "prometheus": ("prometheus", ["--storage.tsdb.path=prometheus", "--rules.alert.resend-delay=1s"]),
}
PORTS = {"8000": "engine", "9477": "sidecar", "9093": "alertmanager"}


class Engine(GetServer):
    """Answers scrapes."""

    def respond(self, *_: object) -> tuple[int, bytes]:
        return 200, b"engine_up 1\n"


def printed_commands(printed: str) -> dict[str, list[str]]:
    """The commands of the next steps, by program."""
    commands = [shlex.split(line) for line in re.findall(r"^  \d+\. (.*)$", printed, re.MULTILINE)]
    return {command[0]: command for command in commands if command[0] in PROGRAMS}


def use_free_ports(folder: Path, addresses: dict[str, str]) -> None:
    """Change the ports, and make the rules' waiting times short."""
    for file in (folder / "prometheus.yml", folder / "alertmanager.yml"):
        text = file.read_text()
        for port, name in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", addresses[name])
        text = text.replace("_interval: 15s", "_interval: 1s")
        file.write_text(text.replace("group_wait: 5s", "group_wait: 0s"))
    rules = folder / "wellbeing.rules.yml"
    rules.write_text(rules.read_text().replace("for: 1m", "for: 0s"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "wellbeing"


def test_the_printed_commands_pause_when_the_engine_dies(folder, capsys) -> None:
    answers = ["--engine", "other", "--place", "local", "--mode", "pause"]
    assert main(["init", *answers, "--directory", str(folder)]) == 0
    commands = printed_commands(capsys.readouterr().out)
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("alertmanager", "prometheus")}
    config = yaml.safe_load((folder / "sidecar.yaml").read_text())
    config["alerts"]["alertmanager_urls"] = [f"http://{addresses['alertmanager']}"]
    with ExitStack() as stack:
        running = stack.enter_context(ExitStack())
        engine = running.enter_context(Engine())
        sidecar = stack.enter_context(Sidecar(config))
        use_free_ports(
            folder,
            {**addresses, "engine": engine.address, "sidecar": sidecar.url.removeprefix("http://")},
        )
        started = {}
        for name, command in commands.items():
            debian, more = PROGRAMS[name]
            run = [program(debian), *command[1:], *more, f"--web.listen-address={addresses[name]}"]
            started[name] = Process(run, folder)
            stack.callback(started[name].stop)
            started[name].wait_ok(f"http://{addresses[name]}/-/ready")
        assert not [line for line in started["alertmanager"].lines if "component=cluster" in line]
        sidecar.wait_for_metric("wellbeing_watchdog_heard", 1)
        sidecar.wait_for_gate("other", "open")
        running.close()
        sidecar.wait_for_gate("other", "closed")
        assert sidecar.status("other")["reason"] == "the engine does not answer"
