"""The client's gate with a real sidecar: threads, tasks, forks, greenlets and sockets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.clients import close_gate, make_known, wait_for_equal_counts
from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal, program
from harness.sidecar import Sidecar
from harness.tls import certify
from sidecar.client import Agent, Gate, InferencePaused, TooManyWaiting

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    config = {
        "defaults": {"pause_on_distressed": True, "max_pause_secs": 0},
    }
    with Sidecar(config) as running:
        yield running


_scopes = iter(range(10**6))


@pytest.fixture
def scope() -> str:
    return f"client-{next(_scopes)}"


@pytest.fixture
def gate(sidecar: Sidecar, scope: str) -> Iterator[Gate]:
    make_known(sidecar, scope)
    with Gate(sidecar.url, scope=scope, report_secs=0.2) as gate:
        yield gate


def test_an_open_gate_lets_requests_pass_and_a_closed_one_gives_the_reason(
    sidecar: Sidecar, gate: Gate
) -> None:
    gate.wait()
    assert gate.is_open
    close_gate(sidecar, gate, "it is lost")
    with pytest.raises(InferencePaused, match="it is lost") as caught:
        gate.wait(0.05)
    assert (caught.value.scope, caught.value.state, caught.value.reason) == (
        gate.settings.scope,
        "healthy",
        "it is lost",
    )
    assert 1 <= caught.value.retry_after <= 15
    assert gate.counts == {
        "requests": 2,
        "blocked": 1,
        "waited": 0,
        "timed_out": 1,
        "abandoned": 0,
        "succeeded": 0,
        "failed": 0,
    }
    wait_for_equal_counts(sidecar, gate)


def test_all_threads_and_tasks_are_woken(sidecar: Sidecar, gate: Gate) -> None:
    close_gate(sidecar, gate)
    done = []

    async def tasks() -> None:
        await asyncio.gather(*(gate.wait_async(30) for _ in range(200)))
        done.append("tasks")

    def one() -> None:
        with gate.admitted(30):
            done.append("thread")

    with ThreadPoolExecutor(32) as pool:
        work = [pool.submit(one) for _ in range(30)] + [pool.submit(asyncio.run, tasks())]
        eventually_equal(lambda: gate.counts["blocked"], 230, "all wait")
        sidecar.wait_for_waiters(gate.settings.scope, 230)
        sidecar.resume(gate.settings.scope)
        for future in work:
            future.result()
    assert len(done) == 31
    assert gate.counts["waited"] == 230
    wait_for_equal_counts(sidecar, gate)


def test_a_cancelled_task_no_longer_waits(sidecar: Sidecar, gate: Gate) -> None:
    close_gate(sidecar, gate)

    async def main() -> None:
        task = asyncio.create_task(gate.wait_async(30))
        await asyncio.to_thread(eventually, lambda: gate.counts["blocked"], "the request waits")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(InferencePaused):
            async with gate.admitted(0):
                raise AssertionError("let in")

    asyncio.run(main())
    assert gate.counts == {
        "requests": 2,
        "blocked": 2,
        "waited": 0,
        "timed_out": 1,
        "abandoned": 1,
        "succeeded": 0,
        "failed": 0,
    }
    wait_for_equal_counts(sidecar, gate)


def test_a_decorated_function_waits_at_the_gate(gate: Gate) -> None:
    class Model:
        async def __call__(self, number: int) -> int:
            return number + 3

    @gate.guard
    def work(number: int) -> int:
        return number + 1

    @gate.guard
    async def work_async(number: int) -> int:
        return number + 2

    assert (work(1), asyncio.run(work_async(1)), asyncio.run(gate.guard(Model())(1))) == (2, 3, 4)
    assert (gate.counts["requests"], gate.counts["succeeded"]) == (3, 3)


def test_a_guarded_function_that_raises_counts_as_a_failed_request(gate: Gate) -> None:
    @gate.guard
    def work() -> None:
        raise OSError("the engine is gone")

    @gate.guard
    def generate() -> Iterator[int]:
        yield 1
        raise OSError("the engine is gone")

    with pytest.raises(OSError, match="gone"):
        work()
    with pytest.raises(OSError, match="gone"):
        list(generate())
    assert (gate.counts["succeeded"], gate.counts["failed"]) == (0, 2)


def test_a_guarded_generator_waits_without_holding_its_loop(sidecar: Sidecar, gate: Gate) -> None:
    @gate.guard
    def tokens(number: int) -> Iterator[int]:
        yield from range(number)

    @gate.guard
    async def tokens_async(number: int) -> AsyncIterator[int]:
        for token in range(number):
            yield token

    async def read() -> list[int]:
        return [token async for token in tokens_async(3)]

    async def read_at_a_closed_gate() -> list[int]:
        reading = asyncio.ensure_future(read())
        await asyncio.to_thread(eventually, lambda: gate.counts["blocked"] == 1, "the request waits")
        await asyncio.to_thread(sidecar.resume, gate.settings.scope)
        return await reading

    assert list(tokens(3)) == [0, 1, 2]
    close_gate(sidecar, gate)
    assert asyncio.run(read_at_a_closed_gate()) == [0, 1, 2]
    assert (gate.counts["requests"], gate.counts["waited"], gate.counts["succeeded"]) == (2, 1, 2)


def test_callbacks_are_called_with_each_change(sidecar: Sidecar, gate: Gate) -> None:
    told = []
    stop = gate.on_change(lambda is_open, snapshot: told.append((is_open, snapshot and snapshot.reason)))
    gate.on_change(lambda *_: 1 / 0)
    eventually(lambda: gate.snapshot, "the client has a snapshot")
    close_gate(sidecar, gate, "told")
    eventually(lambda: (False, "told") in told, "the callback gets the pause")
    stop()
    sidecar.resume(gate.settings.scope)
    eventually(lambda: gate.is_open, "open")
    assert told[-1] == (False, "told")


def test_more_requests_than_max_waiting_are_refused(sidecar: Sidecar, scope: str) -> None:
    with Gate(sidecar.url, scope=scope, max_waiting=1) as gate:
        close_gate(sidecar, gate)
        waiter = threading.Thread(target=gate.wait)
        waiter.start()
        eventually_equal(lambda: gate.counts["blocked"], 1, "one request waits")
        with pytest.raises(TooManyWaiting):
            gate.wait()
        gate.close()
        waiter.join(10)
        assert not waiter.is_alive(), "close() wakes the waiting requests"


def test_a_forked_child_follows_the_gate_by_itself(sidecar: Sidecar, gate: Gate) -> None:
    gate.wait()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            gate.wait(10)
            os.write(writer, b"1")
            eventually(lambda: not gate.is_open, "the child sees the closed gate")
            os.write(writer, b"2")
            gate.wait(30)
            status = 0 if gate.counts["requests"] == 2 else 3
            gate.close()
        finally:
            os._exit(status)
    assert os.read(reader, 1) == b"1"
    close_gate(sidecar, gate)
    assert os.read(reader, 1) == b"2"
    sidecar.resume(gate.settings.scope)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(reader)
    os.close(writer)
    eventually_equal(
        lambda: sidecar.counters(gate.settings.scope)["requests_total"], 3, "both processes have reported"
    )


def test_greenlets_wait_without_blocking_their_thread(sidecar: Sidecar, scope: str) -> None:
    script = """
from gevent import monkey; monkey.patch_all()
import sys, gevent, requests
from sidecar.client import Gate
url, scope = sys.argv[1:]
gate = Gate(url, scope=scope)
gate.wait()
requests.post(f"{url}/v1/pause/{scope}", json={"reason": "x"}).raise_for_status()
while gate.is_open: gevent.sleep(0.01)
waiters = [gevent.spawn(gate.wait, 30) for _ in range(100)]
while gate.counts["blocked"] < 100: gevent.sleep(0.01)
requests.post(f"{url}/v1/resume/{scope}").raise_for_status()
gevent.joinall(waiters, raise_error=True)
assert gate.counts["waited"] == 100, gate.counts
gate.close()
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, sidecar.url, scope],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "done\n", done.stderr


def test_a_client_works_over_a_unix_socket(tmp_path: Path) -> None:
    socket = tmp_path / "gate.sock"
    with (
        Sidecar(listen=f"unix:{socket}") as own,
        Gate(f"unix:{socket}", scope="a/b", report_secs=0.2) as gate,
    ):
        make_known(own, "a/b")
        gate.wait()
        close_gate(own, gate)
        with pytest.raises(InferencePaused):
            gate.wait(0)
        own.resume("a/b")
        gate.wait(30)
        wait_for_equal_counts(own, gate)
    assert gate.health.fallback


def test_a_client_works_with_a_token_over_tls(sidecar: Sidecar, scope: str, tmp_path: Path) -> None:
    certify(tmp_path)
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        f"""
events {{}}
http {{
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {tmp_path}/cert.pem;
    ssl_certificate_key {tmp_path}/key.pem;
    location / {{
      if ($http_authorization != "Bearer second") {{ return 401; }}
      proxy_pass {sidecar.url};
    }}
  }}
}}
"""
    )
    command = [program("nginx"), "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    token = tmp_path / "token"
    token.write_text("first\n")
    front = Process([*command, "-g", f"daemon off; pid {tmp_path}/pid;"], tmp_path)
    settings = {
        "scope": scope,
        "token_file": str(token),
        "ca_file": str(tmp_path / "cert.pem"),
        "report_secs": 0.2,
    }
    try:
        with Gate(f"https://127.0.0.1:{port}", **settings) as gate:
            eventually(lambda: "answered 401" in gate.health.error, "the wrong token is refused")
            token.write_text("second\n")
            eventually(lambda: gate.health.reachable, "the new token is read")
            close_gate(sidecar, gate)
            with pytest.raises(InferencePaused):
                gate.wait(0)
            wait_for_equal_counts(sidecar, gate)
        with Gate(f"https://127.0.0.1:{port}", scope=scope, token="second", report_secs=0) as stranger:
            eventually(
                lambda: "certificate" in stranger.health.error.lower(),
                "the client does not trust the certificate",
            )
    finally:
        front.stop()


def test_a_claim_lasts_as_long_as_its_agent(sidecar: Sidecar, scope: str) -> None:
    agent = Agent("a-1", sidecar.url, scope=scope, ttl_secs=0.5)
    agent.report("distressed", "no coherence")
    assert agent.flush()
    with pytest.raises(InferencePaused), Gate(sidecar.url, scope=scope) as gate:
        gate.wait(1.2)  # more than two TTLs
    pid = sidecar.pid
    assert sidecar.pid == pid
    agent.close()
    assert sidecar.status(scope)["signals"] == []
    script = "import sys; from sidecar.client import Agent; a = Agent('a-2', sys.argv[1], scope=sys.argv[2], ttl_secs=0.5); a.report('distressed'); a.flush(); import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", script, sidecar.url, scope], cwd=ROOT, check=True, timeout=30)
    sidecar.wait_for_gate(scope, "open")
    kinds = [
        entry["cause"]
        for entry in sidecar.get(f"/v1/history/{scope}", params={"kind": "resume"}).json()["entries"]
    ]
    assert kinds == ["expired", "recovered"]
    with pytest.raises(ValueError, match="sad"):
        agent.report("sad")
