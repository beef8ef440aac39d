"""A background thread with its own connection to the sidecar."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sidecar.supervision import Failures, run_thread_supervised

from .connection import Connection
from .settings import Settings


class ConnectionThread:
    """A daemon thread that is started when it is first needed, and that survives any exception.

    Args:
        name: the name of the thread.
        task: its name in counter and log.
        settings: the settings of the connection.
        work: does the work with the connection, until `stopping` is set.
        failures: counts and logs the exceptions of ``work``, which is called again.

    Attributes:
        stopping: set once the thread has to end.
    """

    def __init__(
        self, name: str, task: str, settings: Settings, work: Callable[[Connection], None], failures: Failures
    ) -> None:
        self.stopping = threading.Event()
        self._name = name
        self._task = task
        self._settings = settings
        self._work = work
        self._failures = failures
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_started(self) -> bool:
        """Whether the thread was started."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it was started or has to end. Not thread-safe.

        If the host allows no further thread, this is recorded as a failure, and the next call tries again.
        """
        if self._thread is None and not self.stopping.is_set():
            thread = threading.Thread(target=self._main, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._failures.record(self._task)
                return
            self._thread = thread

    def stop(self) -> None:
        """End the thread and its current request. Returns at once."""
        self.stopping.set()
        if (connection := self._connection) is not None:
            connection.interrupt()

    def _main(self) -> None:
        run_thread_supervised(self._task, self._run, self._failures, self.stopping)

    def _run(self) -> None:
        connection = self._connection = Connection(self._settings)
        try:
            self._work(connection)
        finally:
            connection.close()
