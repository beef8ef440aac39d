"""Forks sidecars from a process that has imported their modules. That saves a second of CPU per sidecar.

The child runs ``python -m sidecar`` in every other respect: it gets its own arguments, folder, environment and
output, and the default signal handlers. pytest switches it on; benchmarks start sidecars as users do.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

_ROOT = Path(__file__).parents[2]
_MODULES = (
    "encodings.ascii",
    "encodings.idna",
    "sidecar.cli.early_stop",
    "sidecar.cli.run",
    "sidecar.cli.serve",
    "sidecar.logs",
    "sidecar.metrics.exposition",
    "sidecar.metrics.process",
    "sidecar.metrics.scopes",
    "sidecar.web.api.flask_app",
    "sidecar.web.server",
    "sidecar.web.worker",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvloop",
)
_MAX_REQUEST = 1 << 20


class ForkServer:
    """The tests' handle for the process that forks. The first `start` starts the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: list[str], cwd: Path, env: dict[str, str]) -> ForkedProcess:
        """Run ``python -m sidecar`` with ``arguments``; its stderr is a pipe."""
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": env}).encode()
        with self._lock:
            sock = self._socket = self._socket or self._connect()
            stderr, stderr_of_child = os.pipe()
            status, status_of_child = os.pipe()
            try:
                socket.send_fds(sock, [request], [stderr_of_child, status_of_child])
            finally:
                os.close(stderr_of_child)
                os.close(status_of_child)
            pid = int(sock.recv(64))
        return ForkedProcess(pid, stderr, status)

    def stop(self) -> None:
        """End the process. The started sidecars continue to run."""
        if self._socket and self._process:
            self._socket.close()
            self._process.wait()
            self._socket = None

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_REQUEST)
        with theirs:
            # The process ends when the other end of its socket is closed.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.fork_server", str(theirs.fileno())],
                cwd=_ROOT / "tests",
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        return ours


class ForkedProcess:
    """A child of the fork server, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, stderr: int, status: int) -> None:
        self.pid = pid
        self.stderr: IO[str] = os.fdopen(stderr, encoding="utf-8", errors="replace")
        self.returncode: int | None = None
        self._status = os.fdopen(status, "rb", buffering=0)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit status; None: it runs."""
        return self._wait(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"sidecar {self.pid}", timeout or 0.0)
        return code

    def _wait(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
                # The status is unknown, because the fork server has ended first.
                self.returncode = int(self._status.read(16) or b"-9")
                self._status.close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


# -- the process that forks -----------------------------------------------------------------------


def _serve(control: socket.socket) -> dict[str, object] | None:
    """Fork for each request. Returns the request in a child, and None when the tests have ended."""
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != control.fileno():
                pid, status = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                # The test may have ended and closed its end.
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, str(code).encode())
                os.close(status)
                continue
            message, fds, _, _ = socket.recv_fds(control, _MAX_REQUEST, 2)
            if not message:
                return None
            stderr, status = fds
            pid = os.fork()
            if not pid:
                control.close()
                for fd_of_other, (_, status_of_other) in running.items():
                    os.close(fd_of_other)
                    os.close(status_of_other)
                os.close(status)
                os.dup2(stderr, 2)
                os.close(stderr)
                return json.loads(message)
            os.close(stderr)
            end = os.pidfd_open(pid)
            running[end] = (pid, status)
            poll.register(end, select.POLLIN)
            control.send(str(pid).encode())


def main() -> None:
    """Serve on the socket whose descriptor is the argument; in a child, run the sidecar."""
    for name in _MODULES:
        __import__(name)
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        return
    # The stderr object of the fork server still assumes that its file can seek.
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    sys.path[0] = str(Path.cwd())
    sys.argv = ["sidecar", *request["arguments"]]  # type: ignore[misc]
    runpy.run_module("sidecar", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
