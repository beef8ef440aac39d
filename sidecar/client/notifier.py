"""Calls a user's callbacks at each change of a gate."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from sidecar.supervision import Failures, run_thread_supervised

from .snapshot import GateSnapshot

Callback = Callable[[bool, GateSnapshot | None], None]

_MAX_PENDING = 1000


class ChangeNotifier:
    """Calls callbacks in a separate thread, so that a callback that raises or hangs does not affect the gate.

    Args:
        callbacks: the callbacks; the list may change at any time.
        failures: counts and logs their exceptions.

    Attributes:
        has_thread: whether to start the thread; if not, `deliver` calls the callbacks.
    """

    def __init__(self, callbacks: list[Callback], failures: Failures) -> None:
        self._callbacks = callbacks
        self._failures = failures
        self._changes: queue.SimpleQueue[tuple[bool, GateSnapshot | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.has_thread = True

    def notify(self, is_open: bool, snapshot: GateSnapshot | None) -> None:  # noqa: FBT001 - as the callbacks
        """Queue a change for the callbacks. If 1,000 changes are queued, the oldest is dropped."""
        if not self._callbacks:
            return
        if self._changes.qsize() >= _MAX_PENDING:
            with contextlib.suppress(queue.Empty):
                self._changes.get_nowait()
        self._changes.put((is_open, snapshot))
        if self._thread is None and self.has_thread:
            thread = threading.Thread(target=self._main, name="wellbeing-callbacks", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No threads are left, or the interpreter ends.
                self._failures.record("client_callbacks")
                return
            self._thread = thread

    def deliver(self) -> None:
        """Call the callbacks in the calling thread, if the notifier has no thread."""
        while not self.has_thread:
            try:
                change = self._changes.get_nowait()
            except queue.Empty:
                return
            if change is not None:
                self._call(change)

    def stop(self) -> None:
        """End the thread after the pending changes."""
        self._changes.put(None)

    def _main(self) -> None:
        run_thread_supervised("client_callbacks", self._run, self._failures, threading.Event())

    def _run(self) -> None:
        while (change := self._changes.get()) is not None:
            self._call(change)

    def _call(self, change: tuple[bool, GateSnapshot | None]) -> None:
        for callback in list(self._callbacks):
            try:
                callback(*change)
            except BaseException:  # noqa: BLE001 - not even SystemExit of a callback may end the thread
                self._failures.record("client_callbacks")
