"""Limits wrong credentials, by the address of the client."""

from __future__ import annotations

import asyncio
import ipaddress
from weakref import WeakValueDictionary

from .problems import Problem

_WINDOW_SECS = 60.0
_MAX_PEERS = 10_000
_IPV6_SITE_BITS = 64


class FailureLimit:
    """Counts the wrong credentials that each address sent in the last minute.

    One host can use every address of an IPv6 network of 64 bits, so these count as one.

    Args:
        most: how many wrong credentials one address may send in a minute before it has to wait.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # The time of the first failure in the window, and the number of failures.
        self._failures: dict[str, tuple[float, int]] = {}
        # An entry lasts as long as a request uses it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, peer: str) -> asyncio.Lock:
        """The lock for checks of passwords from ``peer``, one at a time.

        Simultaneous checks could exceed the limit together. And one client with many requests would delay
        the others, because all passwords are checked by one thread.
        """
        return self._turns.setdefault(_site_of(peer), asyncio.Lock())

    def check(self, peer: str) -> None:
        """Check that ``peer`` may send a credential.

        Raises:
            Problem: it has sent too many wrong ones.
        """
        began, count = self._failures.get(_site_of(peer), (0.0, 0))
        left = began + _WINDOW_SECS - asyncio.get_running_loop().time()
        if left > 0 and count >= self.most:
            raise Problem(
                "too-many-attempts",
                f"{count} wrong credentials within a minute from this address",
                headers={"Retry-After": str(int(left) + 1)},
            )

    def count(self, peer: str) -> None:
        """Count a wrong credential of ``peer``."""
        site = _site_of(peer)
        now = asyncio.get_running_loop().time()
        began, count = self._failures.get(site, (now, 0))
        if now - began >= _WINDOW_SECS:
            began, count = now, 0
        # The latest failure is last, so the oldest ones are dropped first.
        self._failures.pop(site, None)
        if len(self._failures) >= _MAX_PEERS:
            del self._failures[next(iter(self._failures))]
        self._failures[site] = (began, count + 1)


def _site_of(peer: str) -> str:
    """``peer``, or the network of an IPv6 address."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer)
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _IPV6_SITE_BITS), strict=False))
