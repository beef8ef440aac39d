"""Ports of tests: no other process can take a port between its choice and its use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.ports import PortAllocator, blocks, free_port

TESTS = Path(__file__).parents[1]
OTHER = """
from harness.ports import PortAllocator
ports = PortAllocator(seed=1)
print(*(ports.free_port() for _ in range(150)), flush=True)
input()
"""


def kernel_range() -> range:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return range(int(low), int(high) + 1)


def another_process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_processes_get_different_ports_that_the_kernel_assigns_to_no_other_socket() -> None:
    ours = [PortAllocator(seed=1).free_port() for _ in range(2)]
    others = [another_process() for _ in range(2)]
    try:
        theirs = [int(port) for other in others for port in other.stdout.readline().split()]
    finally:
        for other in others:
            other.communicate("\n")
    assert len({*ours, *theirs}) == 302
    assert not {*ours, *theirs} & set(kernel_range())


def test_a_forked_child_gets_other_ports_than_its_parent() -> None:
    free_port()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(free_port()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    given = int(os.read(reading, 16))
    os.close(reading)
    os.close(writing)
    block = next(block for block in blocks(32_768, 60_999) if given in block)
    assert free_port() not in block


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_port_in_use_is_passed_over(kind: socket.SocketKind) -> None:
    ports = PortAllocator()
    first = ports.free_port()
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", first + 1))
        assert ports.free_port() > first + 1


def test_a_port_can_be_limited() -> None:
    assert free_port(below=32_768) < 32_768


def test_all_blocks_are_usable_if_the_kernel_may_assign_every_port() -> None:
    assert blocks(1024, 65_535) == blocks(1, 1)
    assert {port for block in blocks(20_000, 60_999) for port in block}.isdisjoint(range(20_000, 61_000))
