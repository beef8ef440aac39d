"""The master process: gunicorn's arbiter for exactly one worker.

The worker owns all state, so there is never a second worker: signals that change the number of workers or
start a second master are refused. The master opens the sockets, starts the worker and forwards SIGHUP to it.
It replaces a worker that dies or hangs.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from gunicorn import systemd
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from .sockets import StartError, close_sockets, open_sockets

logger = logging.getLogger(__name__)

BLOCKED_SIGNALS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH,
)  # fmt: skip
"""Signals that are blocked from the fork until the worker has its own handlers, so that none is lost or kills
it."""

_MAX_CHECK_INTERVAL_SECS = 5.0
"""The master checks every second. A longer gap means that the master itself did not run: the machine was
suspended or the processes were frozen."""


class SidecarArbiter(Arbiter):  # type: ignore[misc]
    """The master.

    Args:
        app: gunicorn's application.
        addresses: where to listen, as configured.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - gunicorn's
        addresses: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(app)
        self._addresses = addresses
        self._clock = clock
        self._stopping = False
        self._checked_at = clock()
        self._silent: dict[int, tuple[float, float]] = {}

    # -- starting and stopping --------------------------------------------------------------------

    def start(self) -> None:
        """Open the sockets.

        Raises:
            StartError: one of them cannot be opened.
        """
        # From now on a signal waits until the main loop handles it.
        self.init_signals()
        if not systemd.listen_fds(unset_environment=False):
            self.LISTENERS = open_sockets(self._addresses, self.cfg, self.log)
        super().start()

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's
        """Close the sockets and stop the worker. A worker that does not stop in time is killed."""
        if not self.systemd:
            close_sockets(self.LISTENERS)
            self.LISTENERS = []
        super().stop(graceful)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:  # noqa: ARG002 - gunicorn's
        """Stop and exit. If the worker could not start, it has logged the reason."""
        self._stopping = True
        self.stop()
        sys.exit(exit_status)

    def handle_term(self) -> None:
        """SIGTERM: stop."""
        self._stop(signal.SIGTERM)

    def handle_int(self) -> None:
        """SIGINT, Ctrl-C at a terminal: stop."""
        self._stop(signal.SIGINT)

    def handle_quit(self) -> None:
        """SIGQUIT: stop."""
        self._stop(signal.SIGQUIT)

    def _stop(self, number: signal.Signals) -> NoReturn:
        logger.info("stopping", extra={"fields": {"signal": number.name}})
        self._stopping = True
        raise StopIteration

    # -- other signals ----------------------------------------------------------------------------

    def handle_hup(self) -> None:
        """SIGHUP: the worker reloads its config."""
        self.kill_workers(signal.SIGHUP)

    def handle_usr1(self) -> None:
        """SIGUSR1: nothing. There are no log files to open again."""

    def handle_ttin(self) -> None:
        """SIGTTIN: refused."""
        _refuse(signal.SIGTTIN, "a sidecar has exactly one worker")

    def handle_ttou(self) -> None:
        """SIGTTOU: refused."""
        _refuse(signal.SIGTTOU, "a sidecar has exactly one worker")

    def handle_usr2(self) -> None:
        """SIGUSR2: refused."""
        _refuse(signal.SIGUSR2, "a second master would be a second writer")

    def handle_winch(self) -> None:
        """SIGWINCH: refused. It is not logged on a terminal, which sends it whenever its size changes."""
        if not sys.stderr.isatty():
            _refuse(signal.SIGWINCH, "a sidecar has exactly one worker")

    # -- the worker -------------------------------------------------------------------------------

    def spawn_worker(self) -> Any:  # noqa: ANN401 - gunicorn's
        """Start a worker. It shares the memory of everything that is already loaded.

        Raises:
            StartError: the first worker cannot be started.
        """
        # The garbage collector skips frozen objects, so their memory stays shared.
        gc.freeze()
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        try:
            return super().spawn_worker()
        except (OSError, RuntimeError) as error:
            if self.worker_age == 1:
                message = f"the worker process cannot be started: {error}: give it memory and disk space"
                raise StartError(message) from None
            # The main loop tries again in a second.
            logger.error("worker_not_started", extra={"fields": {"error": str(error)}})
            return None
        finally:
            # Only the master runs this line. In the worker, the call above returns only when the worker ends.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)
            gc.enable()

    def murder_workers(self) -> None:
        """Kill a worker that hangs: its event loop did not run for ``timeout`` seconds of the master's time.

        Time in which the master itself did not run does not count, because the machine was suspended or the
        container was frozen.
        """
        now = self._clock()
        passed = min(now - self._checked_at, _MAX_CHECK_INTERVAL_SECS)
        self._checked_at = now
        silent: dict[int, tuple[float, float]] = {}
        for pid, worker in list(self.WORKERS.items()):
            heartbeat = worker.tmp.last_update()
            known, secs = self._silent.get(pid, (-1.0, 0.0))
            # Zero before the first heartbeat, because a large store may take long to load.
            secs = secs + passed if heartbeat == known and heartbeat else 0.0
            silent[pid] = (heartbeat, secs)
            if secs > self.timeout:
                logger.critical("worker_hung", extra={"fields": {"pid": pid, "silent_secs": round(secs)}})
                self.kill_worker(pid, signal.SIGKILL)
        self._silent = silent

    def reap_workers(self) -> None:
        """Log a worker that ended, and remove it.

        Raises:
            HaltServer: the worker could not start. A new worker would fail in the same way.
        """
        for pid, status in _ended_children():
            worker = self.WORKERS.pop(pid, None)
            if worker is None:
                continue
            worker.tmp.close()
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                continue
            if code in (self.WORKER_BOOT_ERROR, self.APP_LOAD_ERROR):
                message = "the worker could not start"
                raise HaltServer(message, self.WORKER_BOOT_ERROR)
            how = _signal_name(-code) if code < 0 else f"exit status {code}"
            logger.error("worker_ended", extra={"fields": {"pid": pid, "by": how, "next": "another starts"}})


def _refuse(number: signal.Signals, why: str) -> None:
    logger.warning("signal_refused", extra={"fields": {"signal": number.name, "reason": why}})


def _ended_children() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, status


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
