"""The time slice that the event loop's thread requests from the kernel."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.runtime.scheduling import request_short_slice

_GET_ATTR = {"x86_64": 315, "aarch64": 275}
_KERNEL = tuple(map(int, re.findall(r"[0-9]+", platform.release())[:2]))

grants_slices = pytest.mark.skipif(
    platform.machine() not in _GET_ATTR or _KERNEL < (6, 12),
    reason="needs Linux 6.12 on a known processor",
)


def slice_ns() -> int:
    """The time slice of the calling thread in nanoseconds, from ``sched_getattr``."""
    data = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(_GET_ATTR[platform.machine()], 0, data, 56, 0) == 0
    return int(struct.unpack_from("=IIQiIQ", data)[5])


def in_thread(call: Callable[[], None]) -> None:
    """Call ``call`` in a new thread, because it changes the time slice of its thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


@grants_slices
def test_the_calling_thread_gets_the_shortest_slice_and_its_threads_keep_the_usual_one() -> None:
    usual = slice_ns()
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    found: list[int] = []

    def ask() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(nice, 1))
        assert request_short_slice()
        assert slice_ns() == 100_000 < usual
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == max(nice, 1)
        in_thread(lambda: found.append(slice_ns()))

    in_thread(ask)
    assert found == [usual]
    assert slice_ns() == usual


def test_another_scheduling_policy_is_kept() -> None:
    def ask() -> None:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        assert not request_short_slice()
        assert os.sched_getscheduler(0) == os.SCHED_BATCH

    in_thread(ask)
