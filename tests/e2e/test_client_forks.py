"""A forked child connects to the sidecar by itself after any kind of fork at any time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / "tests" / "servers"

FORKS = {
    "os.fork": "fork = os.fork",
    # As in uWSGI's master: Python does not notice the fork.
    "libc's fork": "import ctypes; fork = ctypes.PyDLL(None).fork",
}


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with Sidecar({"defaults": {"max_pause_secs": 0}}) as running:
        yield running


_scopes = iter(range(10**6))


@pytest.fixture
def scope(sidecar: Sidecar) -> str:
    scope = f"fork-{next(_scopes)}"
    sidecar.claim(scope, "cautious")
    return scope


def environment(sidecar: Sidecar, scope: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{SERVERS}",
        "WELLBEING_URL": sidecar.url,
        "WELLBEING_SCOPE": scope,
        "WELLBEING_CLIENT_REPORT_SECS": "0.2",
    }


PRELUDE = """
import os, select, sys, threading, time, requests
from sidecar.client import Agent, Gate, InferencePaused
URL, SCOPE = os.environ["WELLBEING_URL"], os.environ["WELLBEING_SCOPE"]
def pause(): requests.post(f"{URL}/v1/pause/{SCOPE}", json={"reason": "x"}).raise_for_status()
def resume(): requests.post(f"{URL}/v1/resume/{SCOPE}").raise_for_status()
def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
def passes(gate, timeout=0):
    try:
        gate.wait(timeout)
        return True
    except InferencePaused:
        return False
def switches():
    tasks = [one for one in os.listdir("/proc/self/task") if int(one) != os.getpid()]
    return [line for one in tasks for line in open(f"/proc/self/task/{one}/status") if "ctxt" in line]
def at_rest():
    # No event tells that all threads sleep: only their counts of context switches, read twice.
    # Where Python is not told, a thread that waits for the interpreter's lock at this moment breaks the child.
    before = switches()
    time.sleep(0.1)
    return switches() == before
def in_child(work):
    if fork is not os.fork:
        until(at_rest)
    pid = fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid
def ended_well(pid):
    child = os.pidfd_open(pid)
    ended, _, _ = select.select([child], [], [], 30)
    os.close(child)
    if not ended:
        os.kill(pid, 9)
    status = os.waitpid(pid, 0)[1]
    assert ended, "the child hangs"
    assert os.waitstatus_to_exitcode(status) == 0, status
"""


def run(sidecar: Sidecar, scope: str, script: str, fork: str = "os.fork") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + FORKS[fork] + "\n" + script],
        check=False,
        env={
            **environment(sidecar, scope),
            "WELLBEING_CLIENT_REPORT_SECS": "0.2" if fork == "os.fork" else "0",
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("question", ["passes(gate)", "passes(gate, 0.2)"])
def test_the_first_request_of_a_child_obeys_a_gate_that_closed_after_the_fork(
    sidecar: Sidecar, scope: str, fork: str, question: str
) -> None:
    script = f"""
gate = Gate()
gate.wait(30)
reader, writer = os.pipe()
def child():
    os.read(reader, 1)
    assert not gate._flag[0], "the parent's knowledge"
    assert not ({question})
    assert gate.counts["requests"] == gate.counts["timed_out"] == 1
    os.write(answers, b"1")
    gate.wait(30)
back, answers = os.pipe()
pid = in_child(child)
os.close(answers)
pause()
until(lambda: not gate.is_open)
os.write(writer, b"x")
assert os.read(back, 1) == b"1"
resume()
ended_well(pid)
gate.wait(30)
assert gate.counts["requests"] == 2
"""
    run(sidecar, scope, script, fork)


@pytest.mark.parametrize("fork", FORKS)
def test_a_child_of_an_asyncio_program_polls_the_sidecar_by_itself(
    sidecar: Sidecar, scope: str, fork: str
) -> None:
    script = """
import asyncio
gate = Gate(wait_secs=0)
asyncio.run(gate.wait_async(30))
asyncio.run(gate.wait_async(30))
pause()
until(lambda: not gate.is_open)
resume()
until(lambda: gate.is_open)
def child():
    pause()
    try:
        asyncio.run(gate.wait_async())
    except InferencePaused:
        return
    raise AssertionError("passed")
ended_well(in_child(child))
"""
    run(sidecar, scope, script, fork)


@pytest.mark.parametrize("fork", FORKS)
def test_locks_held_during_a_fork_do_not_block_the_child(sidecar: Sidecar, scope: str, fork: str) -> None:
    script = """
from sidecar.client.routing import GateSelector
selector = GateSelector(scope_header="X-Scope")
gate = selector.gate
gate.wait(30)
agent = Agent("a")
agent.report("cautious")
assert agent.flush(30)
held = threading.Event()
def holder():
    reporter = agent._reporters.get()
    with gate._lock, gate._followers.get().counts._lock, gate._poller._lock, reporter._lock:
        with selector._locks.get(), gate._poller.failures._lock:
            held.set()
            threading.Event().wait()
threading.Thread(target=holder, daemon=True).start()
held.wait()
def child():
    gate.wait(30)
    assert gate.counts["requests"] == 1
    selector.gate_for("inside").wait(30)
    agent.report("concerned")
    assert agent.flush(30)
    agent.close()
    assert gate.health.reachable
    selector.close()
ended_well(in_child(child))
def idle_child():
    gate.close()
    agent.close()
ended_well(in_child(idle_child))
os._exit(0)
"""
    run(sidecar, scope, script, fork)


def test_a_fork_at_any_moment_leaves_a_working_gate(sidecar: Sidecar, scope: str) -> None:
    script = """
import random
stop = threading.Event()
gates = [Gate(report_secs=0.05) for _ in range(3)]
def churn():
    while not stop.is_set():
        with Gate(report_secs=0.05) as other:
            passes(other, 0.01)
        gates[0].counts
def turn():
    while not stop.is_set():
        pause()
        resume()
threads = [threading.Thread(target=work) for work in (churn, churn, turn)]
for thread in threads: thread.start()
def child():
    for gate in gates:
        gate.wait(60)
    for gate in gates: gate.close()
for number in range(25):
    # Some in the middle of their first request.
    gate = Gate(report_secs=0.05)
    time.sleep(random.random() * 0.003)
    gates[2:] = [gate]
    pids = [in_child(child) for _ in range(2)]
    for pid in pids: ended_well(pid)
    gate.close()
stop.set()
for thread in threads: thread.join()
resume()
gates[0].wait(30)
"""
    run(sidecar, scope, script)


def test_a_child_that_never_uses_the_gate_ends_at_once(sidecar: Sidecar, scope: str) -> None:
    script = """
gates = [Gate() for _ in range(3)]
for gate in gates: gate.wait(30)
pid = fork()
if pid == 0:
    sys.exit(0)  # the handlers of atexit run
ended_well(pid)
until(lambda: requests.get(f"{URL}/v1/status/{SCOPE}").json()["counters"]["requests_total"] == 3)
for gate in gates: assert gate._poller._thread.is_alive()
"""
    run(sidecar, scope, script)


def test_a_closed_gate_stays_closed_for_its_children(sidecar: Sidecar, scope: str) -> None:
    script = """
gate = Gate()
gate.wait(30)
gate.close()
pause()
def child():
    gate.wait(0)
    assert gate.is_open and gate.health.fallback
    gate.close()
ended_well(in_child(child))
"""
    run(sidecar, scope, script)


def test_without_its_sidecar_a_child_uses_its_fallback(sidecar: Sidecar, scope: str) -> None:
    script = """
from sidecar.client import Settings
for unreachable in ("open", "closed"):
    gate = Gate(f"http://127.0.0.1:{sys.argv[1]}", unreachable=unreachable)
    until(lambda: gate.health.fallback)
    def child():
        assert passes(gate) is (unreachable == "open")
        assert gate.health.fallback
    ended_well(in_child(child))
""".replace("sys.argv[1]", str(free_port()))
    run(sidecar, scope, script)


def test_children_get_different_random_numbers(sidecar: Sidecar, scope: str) -> None:
    script = """
pause()
gate = Gate()
until(lambda: gate.snapshot)
def child():
    retries = []
    for _ in range(12):
        try: gate.wait(0)
        except InferencePaused as paused: retries.append(paused.retry_after)
    os.write(1, (repr(retries) + "\\n").encode())
for pid in [in_child(child) for _ in range(4)]: ended_well(pid)
"""
    assert len(set(run(sidecar, scope, script).splitlines())) == 4


def test_a_parents_claims_remain_when_its_children_end(sidecar: Sidecar, scope: str) -> None:
    script = """
agent = Agent("parent", ttl_secs=60)
agent.report("concerned")
assert agent.flush(30)
def child():
    assert agent.flush(30)
    agent.close()  # has reported nothing
ended_well(in_child(child))
signals = requests.get(f"{URL}/v1/status/{SCOPE}").json()["signals"]
assert any(one["source"] == "agent:parent" for one in signals), signals
os._exit(0)
"""
    run(sidecar, scope, script)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_follow_the_gate_by_themselves(
    sidecar: Sidecar, scope: str, method: str, tmp_path: Path
) -> None:
    program = tmp_path / "pool.py"
    program.write_text(
        """
import multiprocessing, os, sys, requests
from sidecar.client import Gate, InferencePaused

def first(gate):
    try:
        gate.wait(0)
        return "passed"
    except InferencePaused:
        return "paused"

def refused(gate):
    gate.wait(0)

if __name__ == "__main__":
    gate = Gate(wait_secs=0)
    gate.wait(30)
    url, scope = os.environ["WELLBEING_URL"], os.environ["WELLBEING_SCOPE"]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        requests.post(f"{url}/v1/pause/{scope}", json={"reason": "x"}).raise_for_status()
        print(pool.map(first, [gate] * 4))
        try:
            pool.apply(refused, [gate])
        except InferencePaused as paused:
            print("refused", paused.scope == scope)
        requests.post(f"{url}/v1/resume/{scope}").raise_for_status()
        print(pool.map(first, [gate] * 4))
"""
    )
    done = subprocess.run(
        [sys.executable, str(program), method],
        check=False,
        env=environment(sidecar, scope),
        capture_output=True,
        text=True,
        timeout=100,
    )
    wanted = f"{['paused'] * 4}\nrefused True\n{['passed'] * 4}\n"
    assert done.stdout == wanted, done.stderr
