"""Attacks the sidecar; measures the gate's p99 for a well-behaved worker, and the sidecar's memory.

Everything runs on loopback, bounded in number and time. ``--scale 1`` is the full size:
2,000 slow connections, 5,000 waiters that never read, a body of 1 GB, a million scopes asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.sidecar import Sidecar  # noqa: E402 - found by the line above
from harness.soak import pss_kb  # noqa: E402

DRIPPERS, WAITERS, BODY_BYTES, SCOPES = 2_000, 5_000, 10**9, 1_000_000
LASTS_SECS = 15.0
TOKEN = "the-token-of-an-honest-worker"  # noqa: S105 - of this run alone
_HONEST = f"GET /v1/gate/honest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
_AT_ONCE = 64


@dataclass(frozen=True)
class Figures:
    """The measurements during one attack.

    Attributes:
        attack: its name.
        p50_ms: median latency of the honest worker's gate requests.
        p99_ms: 99th percentile of the same.
        requests: the number of these requests; all of them passed.
        pss_mb: memory of all the sidecar's processes at the end of it.
        told: what happened to the attackers.
    """

    attack: str
    p50_ms: float
    p99_ms: float
    requests: int
    pss_mb: float
    told: str


def work_honestly(where: tuple[str, int]) -> list[float]:
    """Send gate requests on one connection until standard input ends. Returns the seconds of each."""
    took: list[float] = []
    with socket.create_connection(where, 60) as sock:
        while not select.select([sys.stdin], [], [], 0.001)[0]:
            began = time.perf_counter()
            sock.sendall(_HONEST)
            answer = b""
            while not answer.endswith(b"}"):
                part = sock.recv(65_536)
                if not part:
                    raise RuntimeError("an honest worker was cut off")
                answer += part
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"an honest worker was refused: {answer!r}")
            if not took:
                print("works", flush=True)
            took.append(time.perf_counter() - began)
    return took


Attack = Callable[[tuple[str, int], float], Coroutine[None, None, str]]


async def nothing(_: tuple[str, int], __: float) -> str:
    """Send nothing, for comparison."""
    await asyncio.sleep(LASTS_SECS / 3)
    return ""


async def drip(where: tuple[str, int], scale: float) -> str:
    """Send request heads byte by byte, and never complete them."""
    count = max(1, int(DRIPPERS * scale))

    async def one() -> float:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(*where)
        try:
            for byte in b"GET /v1/gate HTTP/1.1\r\nX: " + b"x" * 10_000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
                if reader.at_eof() or time.monotonic() - began > LASTS_SECS:
                    break
        except OSError:
            pass
        writer.close()
        return time.monotonic() - began

    lived = await asyncio.gather(*(one() for _ in range(count)))
    return f"{count} connections lived {max(lived):.0f} s at most"


async def wait_and_never_read(where: tuple[str, int], scale: float) -> str:
    """Park requests at a closed gate, and pipeline many requests after each, without reading a response."""
    count = max(1, int(WAITERS * scale))
    request = (
        f"GET /v1/gate/closed?wait=5 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    transports: list[asyncio.Transport] = []
    loop = asyncio.get_running_loop()
    for _ in range(count):
        transport, _protocol = await loop.create_connection(_Deaf, *where)
        transport.write(request * 20)
        transports.append(transport)
    await asyncio.sleep(LASTS_SECS - 5)
    gone = sum(transport.is_closing() for transport in transports)
    for transport in transports:
        transport.abort()
    return f"{count} waiters, {gone} of them cut off"


class _Deaf(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.pause_reading()  # type: ignore[attr-defined]


async def send_huge_bodies(where: tuple[str, int], scale: float) -> str:
    """Send huge bodies, one after the other, with a valid credential."""
    size = max(10**6, int(BODY_BYTES * scale))
    ends = time.monotonic() + LASTS_SECS / 3
    taken = []
    status = ""
    while time.monotonic() < ends:
        sent, status = await _send_body(where, size)
        taken.append(sent)
    return (
        f"{len(taken)} bodies of {size / 1e6:,.0f} MB, of one {max(taken) / 1e6:,.0f} MB were taken: {status}"
    )


async def _send_body(where: tuple[str, int], size: int) -> tuple[int, str]:
    """The number of bytes sent, and the response."""
    reader, writer = await asyncio.open_connection(*where)
    lines = (
        "POST /v1/alerts HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Length: {size}",
    )
    writer.write("\r\n".join((*lines, "", "")).encode())
    sent, part = 0, b" " * 1_000_000
    with suppress(OSError):
        while sent < size and not reader.at_eof():
            writer.write(part)
            await writer.drain()
            sent += len(part)
    answer = b""
    with suppress(OSError, TimeoutError):
        answer = await asyncio.wait_for(reader.read(100), 10)
    writer.close()
    return sent, answer[9:12].decode() or "the connection was closed"


async def enumerate_scopes(where: tuple[str, int], scale: float) -> str:
    """Ask for the gates of unknown scopes, one after the other."""
    count = max(_AT_ONCE, int(SCOPES * scale))
    reader, writer = await asyncio.open_connection(*where, limit=2**20)
    for first in range(0, count, _AT_ONCE):
        writer.write(
            b"".join(
                b"GET /v1/gate/s/%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
                % (number, TOKEN.encode())
                for number in range(first, first + _AT_ONCE)
            )
        )
        for _ in range(_AT_ONCE):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(
                int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            )
    writer.close()
    return f"{count:,} scopes asked for"


ATTACKS: dict[str, Attack] = {
    "nothing": nothing,
    "heads that drip": drip,
    "waiters that never read": wait_and_never_read,
    "huge bodies": send_huge_bodies,
    "scopes enumerated": enumerate_scopes,
    "nothing, afterwards": nothing,
}


def run(scale: float) -> list[Figures]:
    """Run one attack after the other, each with ``scale`` times its size."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = {
        "auth": {
            "credentials": [
                {"name": "worker", "roles": ["worker", "webhook", "operator", "viewer"], "token_env": "TOKEN"}
            ]
        },
    }
    with (
        tempfile.TemporaryDirectory(prefix="attack-") as folder,
        Sidecar(config, env={"TOKEN": TOKEN}, store="sqlite:state.db", folder=Path(folder)) as own,
    ):
        own.session.headers["Authorization"] = f"Bearer {TOKEN}"
        own.pause("closed", "a test", max_pause_secs=0)
        figures = []
        for name, attack in ATTACKS.items():
            with _honest(own.where) as worker:
                if worker.stdout is None or not worker.stdout.readline():
                    raise RuntimeError("the honest worker did not begin")
                told = asyncio.run(_told(attack(own.where, scale)))
                out, _ = worker.communicate()
            took = sorted(json.loads(out))
            memory = sum(pss_kb(pid) for pid in (own.pid, own.worker_pid)) / 1024
            p50, p99 = (round(took[int(len(took) * share)] * 1e3, 3) for share in (0.5, 0.99))
            figures.append(Figures(name, p50, p99, len(took), round(memory, 1), told))
        scopes = len(own.status("", below="true")["below"])
        if scopes != 1:
            raise RuntimeError(f"asking for scopes has named {scopes}")
    return figures


def _honest(where: tuple[str, int]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.attack", "--honest", f"{where[0]}:{where[1]}"]
    return subprocess.Popen(  # noqa: S603 - ourselves
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


async def _told(attack: Coroutine[None, None, str]) -> str:
    return await attack


def main() -> None:
    """Run the attacks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--honest",
        metavar="HOST:PORT",
        help="act as a well-behaved worker, and print the latency of each request",
    )
    options = parser.parse_args()
    if options.honest:
        host, _, port = options.honest.rpartition(":")
        print(json.dumps(work_honestly((host, int(port)))))
        return
    figures = run(options.scale)
    if options.json:
        print(json.dumps([asdict(one) for one in figures], indent=2))
        return
    print("| during | p50, ms | p99, ms | honest requests | memory, MB | the attackers |")
    print("| --- | --- | --- | --- | --- | --- |")
    for one in figures:
        print(
            f"| {one.attack} | {one.p50_ms} | {one.p99_ms} | {one.requests:,} | {one.pss_mb} | {one.told} |"
        )


if __name__ == "__main__":
    main()
