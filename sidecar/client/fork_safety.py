"""Keeps state of a parent process out of its forked children.

A fork copies memory and one thread. In the child, a lock that another thread held stays locked forever, the
thread that followed the gate is missing, and the copied state becomes stale unnoticed.

Rules of this file: nothing relies on a notification of a fork, because some hosts (uWSGI) fork without
calling the hooks of `os.register_at_fork`. Nothing waits for a lock.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

_T = TypeVar("_T")

# <linux/mman.h>; Linux 4.14 and later. Python has no name for it.
_MADV_WIPEONFORK = 18
_MADV_INVALID = -1

_THREADS = "/proc/self/task"

_forks = 0
_notified_pid = os.getpid()


def _count_fork() -> None:
    # With the process id it distinguishes processes, even if the kernel reuses an id.
    global _forks, _notified_pid  # noqa: PLW0603 - belong to the process, as the process id does
    _forks += 1
    _notified_pid = os.getpid()


def _notify_python_of_fork() -> None:
    """Tell Python about the fork, as `os.fork` does in the child, if the host has called fork itself.

    Otherwise the interpreter's own lock waits for threads that only the parent has, and the first new thread
    may hang. This must happen before the child starts other threads.
    """
    global _notified_pid  # noqa: PLW0603 - belongs to the process, as the process id does
    if _notified_pid == os.getpid():
        return
    _notified_pid = os.getpid()
    try:
        alone = len(list(Path(_THREADS).iterdir())) == 1
    except OSError:
        return
    if alone:
        ctypes.pythonapi.PyOS_AfterFork_Child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class Flag(Protocol):
    """Item 0 is 1 or 0. In a forked child it is 0 until the child sets it."""

    def __getitem__(self, index: int, /) -> int:
        """The flag; ``index`` is 0."""

    def __setitem__(self, index: int, value: int, /) -> None:
        """Set the flag; ``index`` is 0."""


def flag_cleared_by_fork() -> Flag:
    """A flag that any fork clears in the child.

    On Linux it is a byte in a page that the kernel fills with zeros in a child (``madvise(2)``,
    ``MADV_WIPEONFORK``). Reading it costs 60 ns; ``os.getpid()`` is a system call and costs up to 220 ns.
    """
    if sys.platform == "linux":
        try:
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if _rejects_invalid_advice(page):
                page.madvise(_MADV_WIPEONFORK)
                return page
        except (OSError, ValueError):
            pass
    return _PidFlag()


def _rejects_invalid_advice(page: mmap.mmap) -> bool:
    # Some emulators accept any advice and do nothing.
    try:
        page.madvise(_MADV_INVALID)
    except (OSError, ValueError):
        return True
    return False


class _PidFlag:
    """A `Flag` for systems that cannot clear memory on a fork. It compares process ids."""

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = 0

    def __getitem__(self, _: int, /) -> int:
        return int(self._pid == os.getpid())

    def __setitem__(self, _: int, value: int, /) -> None:
        self._pid = os.getpid() if value else 0


class PerProcess(Generic[_T]):
    """A value that each process creates on first use.

    Args:
        make: creates the value. Several threads may call it at once; one result is kept.
        start: called once with the value that is kept.
    """

    def __init__(self, make: Callable[[], _T], start: Callable[[_T], None] | None = None) -> None:
        self._make = make
        self._start = start
        self._values: dict[tuple[int, int], _T] = {}

    def get(self) -> _T:
        """The value of this process."""
        _notify_python_of_fork()
        key = (os.getpid(), _forks)
        value = self._values.get(key)
        if value is None:
            made = self._make()
            # One call into C: the interpreter runs no other thread in between.
            value = self._values.setdefault(key, made)
            if value is made:
                self._begin(key, made)
        return value

    def peek(self) -> _T | None:
        """The value of this process; None: it was not created yet."""
        return self._values.get((os.getpid(), _forks))

    def _begin(self, key: tuple[int, int], value: _T) -> None:
        for other in list(self._values):
            if other != key:
                self._values.pop(other, None)
        try:
            if self._start is not None:
                self._start(value)
        except BaseException:
            self._values.pop(key, None)
            raise
