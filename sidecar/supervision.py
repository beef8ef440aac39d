"""Keeps long-lived tasks, timers and threads running.

An unexpected exception in background work is counted and logged with its traceback, and the work continues.
No other module of the product starts a task, a timer or a thread that has to live as long as the process.

Rules of this file: it imports no other module of the product, so that the client can use it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECS = 0.1
_MAX_BACKOFF_SECS = 15.0
_TRACEBACK_EVERY_SECS = 60.0
_CANCEL_AGAIN_SECS = 0.2


class Failures:
    """Counts and logs unexpected exceptions of background work. Safe to use from any thread.

    Args:
        log: where the failures are logged.
        message: the text of the log line.

    Attributes:
        counts: failures by the name of the task, timer or thread.
    """

    def __init__(self, log: logging.Logger = logger, message: str = "task_failed") -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._message = message
        self._lock = threading.Lock()
        self._logged_at: dict[str, float] = {}

    def register(self, name: str) -> None:
        """Count 0 failures of ``name`` from now on, so that the series exists before the first failure."""
        self.counts.setdefault(name, 0)

    def record(self, name: str) -> None:
        """Count and log the exception that is being handled.

        A traceback is logged at most once per minute and name. Failures in between are only counted.

        Args:
            name: name of the task, timer or thread, as in ``wellbeing_task_failures_total``.
        """
        now = time.monotonic()
        with self._lock:
            self.counts[name] += 1
            last = self._logged_at.get(name)
            if last is not None and now - last < _TRACEBACK_EVERY_SECS:
                return
            self._logged_at[name] = now
            fields = {"task": name, "failures": self.counts[name]}
        self._log.exception(self._message, extra={"fields": fields})


def backoff_secs(failures: int) -> float:
    """Seconds until the next attempt: exponential, with jitter.

    Args:
        failures: number of failures in a row, at least 1.
    """
    ceiling = min(_MAX_BACKOFF_SECS, _FIRST_BACKOFF_SECS * 2.0 ** min(failures - 1, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads out retries


async def run_supervised(name: str, run: Callable[[], Awaitable[None]], failures: Failures) -> None:
    """Await ``run()`` until it returns or is cancelled; start it again whenever it raises.

    Args:
        name: name in the counter and the log.
        run: the work. After an exception it must be possible to call it again.
        failures: counts and logs the exceptions.
    """
    failures.register(name)
    in_a_row = 0
    while True:
        began = time.monotonic()
        try:
            await run()
        except Exception:  # noqa: BLE001 - recorded with its traceback
            failures.record(name)
        else:
            return
        in_a_row = 1 if time.monotonic() - began > _MAX_BACKOFF_SECS else in_a_row + 1
        await asyncio.sleep(backoff_secs(in_a_row))


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel ``task``, and return when it has ended.

    `asyncio.wait_for` of Python 3.11 may lose a cancellation, and libraries use it. So the task is cancelled
    again until it ends.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_CANCEL_AGAIN_SECS)


def run_thread_supervised(
    name: str, run: Callable[[], None], failures: Failures, stopped: threading.Event
) -> None:
    """Call ``run()`` until it returns or ``stopped`` is set; call it again whenever it raises.

    Nothing ends the thread early: neither SystemExit nor a log handler that raises an exception.

    Args:
        name: name in the counter and the log.
        run: the work. After an exception it must be possible to call it again.
        failures: counts and logs the exceptions.
        stopped: ends the wait between two calls.
    """
    failures.register(name)
    in_a_row = 0
    while not stopped.is_set():
        began = time.monotonic()
        try:
            run()
        except BaseException:  # noqa: BLE001 - recorded with its traceback
            with contextlib.suppress(BaseException):
                failures.record(name)
        else:
            return
        in_a_row = 1 if time.monotonic() - began > _MAX_BACKOFF_SECS else in_a_row + 1
        stopped.wait(backoff_secs(in_a_row))


def supervised_steps(name: str, steps: Iterable[None], failures: Failures) -> Iterator[None]:
    """Run ``steps``. An exception ends only these steps, not the work that they belong to.

    Args:
        name: for the counter and the log.
        steps: run one by one.
        failures: counts and logs the exceptions of the steps.
    """
    try:
        yield from steps
    except Exception:  # noqa: BLE001 - recorded with its traceback
        failures.record(name)


class RepeatingTimer:
    """Calls a function periodically, also after the function has raised.

    Args:
        loop: runs the timer.
        secs: seconds between two calls, or a function that returns them.
        call: the function; it is called in the loop.
        name: name in the counter and the log.
        failures: counts and logs the exceptions.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        secs: float | Callable[[], float],
        call: Callable[[], None],
        *,
        name: str,
        failures: Failures,
    ) -> None:
        self._loop = loop
        self._secs = secs
        self._call = call
        self._name = name
        self._failures = failures
        self._stopped = False
        failures.register(name)
        self._arm()

    def stop(self) -> None:
        """Stop the calls."""
        self._stopped = True
        self._handle.cancel()

    def _arm(self) -> None:
        secs = self._secs() if callable(self._secs) else self._secs
        self._handle = self._loop.call_later(secs, self._fire)

    def _fire(self) -> None:
        try:
            self._call()
        except Exception:  # noqa: BLE001 - recorded with its traceback
            self._failures.record(self._name)
        if not self._stopped:
            self._arm()
