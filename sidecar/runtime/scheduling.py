"""Asks the kernel to run the thread of the event loop as soon as a client has sent something.

The sidecar's threads may share a core. When the event loop wakes, Linux lets the running thread finish
its slice, and checks again at the next tick of its clock: up to 4 ms later, whatever `sys.setswitchinterval`
says. A thread with a shorter slice runs first. It gets no larger share of the processor.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_SLICE_NS = 100_000
"""The shortest slice that Linux grants."""

_NUMBERS = {"x86_64": 314, "aarch64": 274}
"""The number of the system call ``sched_setattr``, which glibc wraps only since 2.41."""

_ATTR = struct.Struct("=IIQiIQQQ")
_RESET_ON_FORK = 1


def request_short_slice() -> bool:
    """Ask for the shortest slice for the calling thread. Threads that it starts keep the usual one.

    Linux grants it since 6.12, and needs no privilege. An older kernel ignores it.

    Returns:
        Whether the system accepted it. It was not asked if it is not Linux, if the processor is not known,
        or if the thread has a scheduling policy other than the usual one.
    """
    number = _NUMBERS.get(platform.machine()) if platform.system() == "Linux" else None
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    # With the flag, new threads of a process with a raised priority would lose that priority.
    flags = _RESET_ON_FORK if nice >= 0 else 0
    # Size, policy, flags, nice value, priority; for this policy, the runtime is the length of the slice.
    attributes = _ATTR.pack(_ATTR.size, os.SCHED_OTHER, flags, nice, 0, _SLICE_NS, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(number, 0, attributes, 0) == 0)
