"""How a client starts, is copied and ends: imports, copies, event loops, close and exit."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from harness.hostile_server import (
    HostileServer,
    answered,
    sends,
    snapshot,
    stalls,
)
from harness.process import eventually
from harness.sidecar import Sidecar
from sidecar.client import Agent, Gate
from sidecar.client.asgi import GateMiddleware

ROOT = Path(__file__).parents[2]
OPEN = answered(snapshot("open", 3), ETag='"3"')
CLOSED = answered(snapshot("closed", 1), ETag='"1"')


def exit_of(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", script, *args],
        check=False,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_exit_does_not_wait_for_one_gate_after_the_other() -> None:
    script = """
import sys, time, atexit
from sidecar.client import Agent, Gate
gates = [Gate(sys.argv[1], scope=f"s{n}") for n in range(40)]
agents = [Agent(f"a{n}", sys.argv[1]) for n in range(10)]
for agent in agents: agent.report("distressed")
began = time.monotonic()
for gate in gates[:5]: gate.close()
for agent in agents: agent.close()
atexit._run_exitfuncs()
print(time.monotonic() - began)
"""
    with HostileServer(lambda request: stalls(server, b"")) as server:
        done = exit_of(script, server.url)
    assert done.returncode == 0, done.stderr
    # One after the other, the gates would take over 100 s to close.
    assert float(done.stdout) < 15


@pytest.mark.parametrize("waiters", ["threads", "tasks"])
def test_close_reports_the_requests_that_passed(waiters: str) -> None:
    with Sidecar({"defaults": {"max_pause_secs": 0}}) as sidecar:
        sidecar.pause("", "x")
        script = """
import asyncio, sys, threading
from sidecar.client import Gate
from sidecar.client.waiter_queue import WaiterQueue
queued = threading.Semaphore(0)
add = WaiterQueue.add
def add_and_release(*arguments):
    add(*arguments)
    queued.release()
WaiterQueue.add = add_and_release
gate = Gate(sys.argv[1], report_secs=60)
def wait_for(count):
    for _ in range(count): assert queued.acquire(timeout=60)
async def tasks():
    waiting = [asyncio.create_task(gate.wait_async(60)) for _ in range(20)]
    await asyncio.to_thread(wait_for, 20)
    gate.close()
    await asyncio.gather(*waiting)
if sys.argv[2] == "tasks":
    asyncio.run(tasks())
else:
    threads = [threading.Thread(target=gate.wait, args=(60,)) for _ in range(20)]
    for thread in threads: thread.start()
    wait_for(20)
    gate.close()
    for thread in threads: thread.join()
print(gate.counts)
"""
        done = exit_of(script, sidecar.url, waiters)
        assert "'waited': 20" in done.stdout, done.stderr
        counters = sidecar.counters()
        assert (counters["requests_waited"], counters["requests_abandoned"]) == (20, 0)


def test_a_gate_is_copied_and_pickled_by_its_settings() -> None:
    with (
        HostileServer(
            lambda request: sends(CLOSED) if "if-none-match" not in request.headers else None
        ) as server,
        Gate(server.url, scope="a", token="t", wait_secs=7) as gate,
    ):
        gate.on_change(lambda *_: None)
        for other in (pickle.loads(pickle.dumps(gate)), copy.copy(gate), copy.deepcopy(gate)):
            with other:
                assert other is not gate
                assert other.settings == gate.settings
                eventually(lambda other=other: other.health.reachable, "the copy follows the gate by itself")
        agent = pickle.loads(pickle.dumps(Agent("x", server.url, ttl_secs=3)))
        assert (agent.name, agent.settings.url, agent._ttl_secs) == ("x", server.url, 3)


def test_an_event_loop_other_than_asyncio_is_refused_with_a_clear_error() -> None:
    def answers(request):
        return sends(OPEN) if "if-none-match" not in request.headers else None

    async def app(scope, receive, send):
        raise AssertionError("started")

    with HostileServer(answers) as server, Gate(server.url, report_secs=0) as gate:
        gate.wait(30)
        # As under trio: no event loop of asyncio runs, although the gate is open.
        with pytest.raises(RuntimeError, match="asyncio"):
            gate.wait_async().send(None)
        lifespan = GateMiddleware(app, gate)({"type": "lifespan"}, None, None)
        with pytest.raises(RuntimeError, match="trio"):
            lifespan.send(None)


def test_a_running_client_imports_no_further_modules() -> None:
    # A fork during an import in another thread would leave the import lock held in the child.
    script = """
import sys, threading
from sidecar.client import Agent, Gate
from sidecar.client.asgi import GateMiddleware
from sidecar.client.reporter import Reporter
accepted = threading.Event()
send = Reporter.send
def send_and_set(*arguments):
    is_accepted = send(*arguments)
    if is_accepted: accepted.set()
    return is_accepted
Reporter.send = send_and_set
before = set(sys.modules)
gate = Gate(sys.argv[1].replace("127.0.0.1", "localhost"), report_secs=0.1)
agent = Agent("a", sys.argv[1]); agent.report("distressed"); agent.flush()
gate.wait(60)
assert accepted.wait(60)
print(sorted(set(sys.modules) - before))
agent.close(); gate.close()
"""
    with Sidecar() as sidecar:
        done = exit_of(script, sidecar.url)
    assert done.stdout == "[]\n", done.stdout + done.stderr
