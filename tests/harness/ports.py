"""Ports for programs that cannot report which port they use, and for servers that stop and start again.

The kernel assigns the ports of one range to outgoing connections and to servers that bind port 0. Another program can
get a port of that range between its choice and its use, or while its server is stopped. So these ports come from
outside the range, and each process that needs ports reserves a block of them until it ends.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_LOWEST = 11_000
"""Browsers refuse some of the ports below."""
_HIGHEST = 65_535
_BLOCK = 100
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def blocks(low: int, high: int) -> list[range]:
    """The blocks of ports outside the kernel's range, which is from ``low`` to ``high``.

    Returns all blocks if no block is outside the range. Then an outgoing connection can still take a port, but no process
    that allocates its ports here can.
    """
    every = [range(first, first + _BLOCK) for first in range(_LOWEST, _HIGHEST - _BLOCK + 2, _BLOCK)]
    return [block for block in every if block[-1] < low or block[0] > high] or every


class PortAllocator:
    """Hands out ports of blocks that belong to this process until it ends.

    Args:
        seed: seed of the order in which blocks are tried; None: a different order each time, so that a run seldom uses
            a port of a program that an earlier run has left running.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Start with a new block: a forked child must not use the ports of its parent."""
        self._ports = self._claimed_ports()

    def free_port(self, below: int = _HIGHEST + 1) -> int:
        """A loopback port below ``below`` that no other process gets while this process lives."""
        return next(port for port in self._ports if port < below and _is_free(port))

    def _claimed_ports(self) -> Iterator[int]:
        untried = blocks(*map(int, _RANGE.read_text().split()))
        random.Random(self._seed).shuffle(untried)
        for block in untried:
            # Like a port, an abstract socket name has one owner in a network namespace, and is free when the owner ends.
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0wellbeing-test-ports-{block[0]}")
            except OSError:
                claim.close()
                continue
            claim.detach()
            yield from block
        raise AssertionError("all blocks of ports are taken")


def _is_free(port: int) -> bool:
    """Whether neither TCP nor UDP uses the port, at any address."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as sock:
            try:
                sock.bind(("", port))
            except OSError:
                return False
    return True


_ALLOCATOR = PortAllocator()
os.register_at_fork(after_in_child=_ALLOCATOR.reset)
free_port = _ALLOCATOR.free_port
