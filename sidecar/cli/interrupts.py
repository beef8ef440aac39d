"""Handles Ctrl-C before and after a command runs. Python's own handler would raise during an import.

The module `signal` is loaded from a file, which takes milliseconds; its built-in part is available at once.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # it has no stub
import os

_INTERRUPTED = 130


def end_on_interrupt() -> None:
    """From now on, SIGINT ends the process at once, with the exit status of an interrupted command."""
    # A shell starts background jobs with SIGINT ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


class InterruptsRaised:
    """A context in which SIGINT raises `KeyboardInterrupt` again, if `end_on_interrupt` was called."""

    def __enter__(self) -> None:
        self._was_set = signal.getsignal(signal.SIGINT) is _end
        if self._was_set:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if self._was_set:
            signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> None:
    os._exit(_INTERRUPTED)
