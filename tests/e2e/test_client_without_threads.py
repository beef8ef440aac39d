"""In a process whose background threads do not run, the threads of requests poll the sidecar."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.process import eventually
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]

PRELUDE = """
import asyncio, ctypes, os, sys, threading
from sidecar.client import Agent, Gate, InferencePaused
def say(text): print(text, flush=True)
def heard(): return sys.stdin.readline()
def passes(gate, timeout=0):
    try:
        gate.wait(timeout)
        return True
    except InferencePaused:
        return False
"""
REFUSED = """
def refuse(thread): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
"""
# Simulates a host that holds the interpreter's lock while it serves no request.
FROZEN = """
from sidecar.client import following, staleness
following.is_embedded = staleness.is_embedded = lambda: True
staleness._BEAT_SECS, staleness.STALL_SECS, following.STALL_SECS = 0.05, 0.1, 0.1
freeze = lambda: ctypes.PyDLL(None).usleep(300_000)
"""


class Worker(subprocess.Popen[str]):
    """A process with a client. The test and the process exchange lines of text."""

    def __init__(self, url: str, scope: str, script: str) -> None:
        super().__init__(
            [sys.executable, "-c", PRELUDE + script],
            env={**os.environ, "PYTHONPATH": str(ROOT), "WELLBEING_URL": url, "WELLBEING_SCOPE": scope},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def says(self) -> str:
        assert self.stdout is not None
        line = self.stdout.readline().strip()
        assert line, self.stderr.read() if self.stderr else ""
        return line

    def hears(self, text: str = "") -> None:
        assert self.stdin is not None
        self.stdin.write(text + "\n")
        self.stdin.flush()

    def ends(self) -> str:
        _, errors = self.communicate(timeout=60)
        assert self.returncode == 0, errors
        return errors


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with Sidecar({"defaults": {"max_pause_secs": 0}}) as running:
        yield running


@pytest.mark.parametrize("wait", ["gate.wait(60)", "asyncio.run(gate.wait_async(60))"])
def test_requests_obey_the_gate_where_no_thread_can_be_started(sidecar: Sidecar, wait: str) -> None:
    scope = f"refused-{len(wait)}"
    script = f"""
gate = Gate()
changes = []
gate.on_change(lambda is_open, _: changes.append(is_open))
say(passes(gate)); heard()
say((passes(gate), gate.is_open, gate.health.reachable)); say("waits")
{wait}
say((gate.counts["requests"], gate.counts["waited"], gate.counts["timed_out"], changes))
gate.close()
"""
    worker = Worker(sidecar.url, scope, REFUSED + script)
    assert worker.says() == "True"
    sidecar.pause(scope)
    worker.hears()
    assert worker.says() == "(False, False, True)"
    assert worker.says() == "waits"
    sidecar.resume(scope)
    assert worker.says().startswith("(3, ")
    errors = worker.ends()
    assert "a thread could not be started" in errors
    assert "Remedy: raise the limit" in errors
    # From the report that the client sent when it closed.
    assert sidecar.status(scope)["counters"]["requests_total"] == 3


def test_a_host_that_stops_its_threads_between_requests_is_noticed(sidecar: Sidecar) -> None:
    script = """
gate = Gate()
gate.wait(30)
for _ in range(3):
    freeze(); passes(gate)
say("noticed"); heard()
freeze()
say(passes(gate)); heard()
freeze()
say(passes(gate))
os._exit(0)
"""
    worker = Worker(sidecar.url, "frozen", FROZEN + script)
    assert worker.says() == "noticed"
    sidecar.pause("frozen")
    worker.hears()
    assert worker.says() == "False"
    sidecar.resume("frozen")
    worker.hears()
    assert worker.says() == "True"
    assert "only while it serves a request" in worker.ends()


@pytest.mark.parametrize("unreachable", ["open", "closed"])
def test_without_threads_and_without_sidecar_the_fallback_decides(unreachable: str) -> None:
    script = f"""
gate = Gate(unreachable={unreachable!r})
say((passes(gate), passes(gate, 0.2), gate.health.fallback))
"""
    worker = Worker(f"http://127.0.0.1:{free_port()}", "gone", REFUSED + script)
    passed = unreachable == "open"
    assert worker.says() == str((passed, passed, True))
    worker.ends()


def test_without_threads_an_agent_sends_each_claim_when_it_is_reported(sidecar: Sidecar) -> None:
    script = """
agent = Agent("a")
agent.report("concerned", "x")
say(agent.flush(0)); heard()
agent.close()
"""
    worker = Worker(sidecar.url, "agent", REFUSED + script)
    assert worker.says() == "True"
    assert sidecar.status("agent")["state"] == "concerned"
    worker.hears()
    assert "expires after its TTL" in worker.ends()
    eventually(lambda: sidecar.status("agent")["state"] == "healthy", "the claim is withdrawn")


@pytest.mark.parametrize("wait", ["gate.wait(60)", "asyncio.run(gate.wait_async(60))"])
def test_a_request_that_waits_when_the_client_gives_up_its_threads_is_woken(
    sidecar: Sidecar, wait: str
) -> None:
    scope = f"given-up-{len(wait)}"
    sidecar.pause(scope)
    script = f"""
gate = Gate()
passes(gate)
waiting = threading.Thread(target=lambda: {wait})
waiting.start()
while not gate.counts["blocked"] > 1: threading.Event().wait(0.01)
for _ in range(3):
    freeze(); passes(gate)
say("given up")
waiting.join(50)
say(not waiting.is_alive())
os._exit(0)
"""
    worker = Worker(sidecar.url, scope, FROZEN + script)
    assert worker.says() == "given up"
    sidecar.resume(scope)
    assert worker.says() == "True"
    worker.ends()
