"""A program under test, and its output on stderr."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from .fork_server import ForkedProcess

DEADLINE_SECS = 60.0
_FIRST_PAUSE_SECS = 0.01
_LONGEST_PAUSE_SECS = 0.1
_SHARE_OF_TIME = 0.1


def attempts(timeout: float) -> Iterator[None]:
    """Yield at once, then after longer and longer pauses, and for the last time after ``timeout`` seconds.

    The pauses grow because each request of a waiting test takes CPU time from the tests that run beside it.
    """
    begin = time.monotonic()
    pause = threading.Event()
    yield
    while (past := time.monotonic() - begin) < timeout:
        pause.wait(min(max(_FIRST_PAUSE_SECS, past * _SHARE_OF_TIME), _LONGEST_PAUSE_SECS, timeout - past))
        yield


def eventually(condition: Callable[[], object], what: str, timeout: float = DEADLINE_SECS) -> object:
    """Wait until ``condition`` returns a true value, and return it. Fails after ``timeout`` seconds."""
    for _ in attempts(timeout):
        value = condition()
        if value:
            return value
    raise AssertionError(f"not within {timeout:g} s: {what}; last seen: {value!r}")


def eventually_equal(
    observe: Callable[[], object], expected: object, what: str = "", timeout: float = DEADLINE_SECS
) -> None:
    """Wait until ``observe`` returns ``expected``. Fails with the last returned value after ``timeout`` seconds."""
    for _ in attempts(timeout):
        last = observe()
        if last == expected:
            return
    # pytest explains no assertion of this file.
    assert last == expected, f"not within {timeout:g} s: {what}; expected: {expected!r}; last seen: {last!r}"


def program(name: str) -> str:
    """The path of a program that tests need."""
    # `make test` installs programs without a package next to Python.
    where = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin")
    path = shutil.which(name, path=os.pathsep.join(where))
    assert path, f"{name} is not installed: `make test` installs it"
    return path


class Process:
    """A running program; use it as a context manager."""

    def __init__(
        self, command: list[str], cwd: Path, env: dict[str, str] | None = None, user: str | None = None
    ) -> None:
        self.lines: list[str] = []
        self._user = user
        self._command = command
        self._cwd = cwd
        self._env = env
        self.start()

    def _start(self) -> subprocess.Popen[str] | ForkedProcess:
        return subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._env,
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def start(self) -> None:
        """Start the program, or start it again after it has ended."""
        self._popen = self._start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def _read(self) -> None:
        with self._popen.stderr as stderr:
            for line in stderr:
                self.lines.append(line)

    def alive(self) -> None:
        """Fail with the last output if the program has ended."""
        if self._popen.poll() is not None:
            self._reader.join(5)
            raise AssertionError(f"ended with {self._popen.returncode}:\n{''.join(self.lines[-40:])}")

    def wait_ok(self, url: str, timeout: float = DEADLINE_SECS) -> None:
        """Wait until a GET request for ``url`` succeeds. Fails if the program ends first."""

        def is_ok() -> bool:
            self.alive()
            try:
                return requests.get(url, timeout=30).ok
            except (requests.ConnectionError, requests.Timeout):
                return False

        eventually(is_ok, f"{url} answers", timeout)

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def wait(self, timeout: float = DEADLINE_SECS) -> int:
        code = self._popen.wait(timeout)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """Kill the program and its children with SIGKILL, as if at the same time."""
        # A stopped program starts no other child. The children must end with the program: a worker without its
        # master shuts down and refuses requests, and a busy machine has time for that between two signals.
        os.kill(self.pid, signal.SIGSTOP)
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (*map(int, children), self.pid):
            os.kill(pid, signal.SIGKILL)
        self.wait()
        # The end of the output is the end of the last child.
        self._reader.join(DEADLINE_SECS)
        assert not self._reader.is_alive(), f"children of {self.pid} are still there: {children}"

    def stop(self) -> int:
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                return self.wait()
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self.wait()
                raise
        return self._popen.returncode

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reader.join(5)
