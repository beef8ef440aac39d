"""Signals that arrive while ``serve`` starts, before the server has handlers of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_IGNORED = (
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH,
)  # fmt: skip
"""By default these would end or stop the process."""


def stop_on_signals(arguments: Sequence[str]) -> None:
    """Stop with one log line on SIGTERM, SIGINT and SIGQUIT; ignore what a running sidecar ignores.

    Args:
        arguments: of the command line; they may name the log's format.
    """
    as_json = _log_format(arguments) == "json"

    def stop(number: int, _: FrameType | None) -> NoReturn:
        # Nothing is open yet. An exception could be lost in a finalizer, and a logger be in use.
        from sidecar.logs import line  # noqa: PLC0415

        text = line("info", "stopping", {"signal": signal.Signals(number).name}, as_json=as_json)
        os.write(2, text.encode("ascii", "backslashreplace") + b"\n")
        os._exit(0)

    for number in _STOPPING:
        signal.signal(number, stop)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def _log_format(arguments: Sequence[str]) -> str:
    for index, one in enumerate(arguments):
        if one == "--log-format" and index + 1 < len(arguments):
            return arguments[index + 1]
        if one.startswith("--log-format="):
            return one.partition("=")[2]
    return os.environ.get("WELLBEING_LOG_FORMAT", "")
