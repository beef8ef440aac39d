"""Cyclic garbage collection that does not block the event loop.

By default Python collects its oldest generation whenever enough new objects have survived. With ten thousand
scopes this takes over 100 ms, and finds nothing: the sidecar refers to what it keeps without cycles, and gate
requests, commands and connections leave none. So objects that have survived two collections are frozen: no
later collection looks at them, and each collection looks at a bounded number. If they become garbage
later, they are collected when the process has grown so much that garbage may be the reason, or when it
comes near the limit of its container.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sidecar.supervision import Failures, RepeatingTimer

logger = logging.getLogger(__name__)

_CHECK_SECS = 30.0
_YOUNG = 700
"""New objects per collection of the youngest generation."""
_MIDDLE = 2
"""Every third collection looks at the next generation as well: at about 2,100 objects, for a millisecond.
What it leaves is frozen."""
_OLD = 2
_YOUNGEST = 0
_GROWTH = 4.0
_LEAST_GROWTH_BYTES = 536_870_912
"""With 20,000 scopes and as many waiting requests the process does not grow that much."""
_NEAR_LIMIT = 0.75
_GROWTH_NEAR_LIMIT = 1.1
_LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""The limit of a container, as it sees it itself: of cgroup version 2, and of version 1."""


def resident_bytes() -> int:
    """Memory of this process in bytes; 0: the system does not report it (Linux does)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory_limit_bytes(files: Sequence[str] = _LIMIT_FILES) -> float:
    """The memory that the container may use, in bytes; infinity: it has no limit, or that is not known."""
    for name in files:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
            return math.inf if text == "max" else float(int(text))
        except (OSError, ValueError):
            continue
    return math.inf


class _CollectionPauses:
    """Counts the pauses in progress. Pauses of several threads may overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_enabled = False
        self._keeps_objects = False

    def begin(self, *, keeps_objects: bool) -> None:
        with self._lock:
            if not self._count:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1
            self._keeps_objects = self._keeps_objects or keeps_objects

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count:
                return
            if self._was_enabled:
                if self._keeps_objects:
                    # This takes the same short time for any number of objects.
                    gc.freeze()
                gc.enable()
            self._keeps_objects = False


_pauses = _CollectionPauses()


@contextmanager
def collection_paused(*, keeps_objects: bool = True) -> Iterator[None]:
    """A context in which no garbage is collected.

    A collection of young objects examines all objects that they refer to. While a batch works with
    dictionaries of ten thousand scopes, each collection would hold the interpreter for several milliseconds.

    Args:
        keeps_objects: whether many of the created objects stay. Then none of them is collected before the
            process has grown.
    """
    _pauses.begin(keeps_objects=keeps_objects)
    try:
        yield
    finally:
        _pauses.end()


class GarbageCollection:
    """Controls when Python collects cycles. Create it when the process is ready to serve.

    Args:
        loop: runs the timer.
        failures: counts and logs the exceptions of the timer.
        memory: returns the memory of the process in bytes.
        limit: the memory that the process may use, in bytes; None: the limit of its container.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        failures: Failures,
        memory: Callable[[], int] = resident_bytes,
        limit: float | None = None,
    ) -> None:
        self._memory = memory
        self._limit = memory_limit_bytes() if limit is None else limit
        self._before = gc.get_threshold()
        gc.callbacks.append(_freeze_survivors)
        gc.collect()
        # Collect again: Python waits until the new objects are a quarter of those that were left last time.
        gc.collect()
        gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
        gc.enable()
        self._collected_at = memory()
        self._timer = RepeatingTimer(loop, _CHECK_SECS, self.check, name="garbage", failures=failures)

    def stop(self) -> None:
        """Restore the previous settings."""
        self._timer.stop()
        gc.callbacks.remove(_freeze_survivors)
        gc.set_threshold(*self._before)

    def check(self) -> None:
        """Collect the frozen objects too, if the process has grown much since last time.

        Much is fourfold, and by 512 MB; or by a tenth, if the process needs three quarters of its limit.

        This blocks the event loop. The alternative is a process that grows until it is killed.
        """
        used = self._memory()
        much = max(self._collected_at * _GROWTH, self._collected_at + _LEAST_GROWTH_BYTES)
        near_limit = max(self._collected_at * _GROWTH_NEAR_LIMIT, self._limit * _NEAR_LIMIT)
        if used <= min(much, near_limit):
            return
        began = time.perf_counter()
        gc.unfreeze()
        found = gc.collect()
        gc.collect()
        self._collected_at = self._memory()
        fields = {"objects": found, "secs": round(time.perf_counter() - began, 3), "mb": used // 1_048_576}
        logger.warning("garbage_collected", extra={"fields": fields})


def _freeze_survivors(phase: str, info: dict[str, int]) -> None:
    """Freeze the survivors of two collections. Python calls this before and after each collection."""
    if phase == "stop" and info["generation"] > _YOUNGEST:
        gc.freeze()
