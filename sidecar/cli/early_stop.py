"""Handles signals while ``serve`` starts, before the server has its own handlers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_NAMES = {int(number): number.name for number in _STOPPING}
_IGNORED = (
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH,
)  # fmt: skip
"""By default these signals would kill or stop the process."""


def stop_on_signals(arguments: Sequence[str]) -> None:
    """Stop with one log line on SIGTERM, SIGINT and SIGQUIT. Ignore signals that a running sidecar ignores.

    Args:
        arguments: the command line, which may name the log format.
    """
    as_json = _log_format(arguments) == "json"

    def stop(number: int, _: FrameType | None) -> NoReturn:
        # No file is open yet. A module may be partly imported, so do not import or raise anything here.
        os.write(2, _log_line(_NAMES[number], as_json=as_json))
        os._exit(0)

    for number in _STOPPING:
        signal.signal(number, stop)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def _log_line(name: str, *, as_json: bool) -> bytes:
    """The line that `sidecar.logs` would write for this event."""
    now = time.time()
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    if as_json:
        line = f'{{"time": "{timestamp}", "level": "info", "event": "stopping", "signal": "{name}"}}\n'
    else:
        line = f"{timestamp} info     stopping signal={name}\n"
    return line.encode()


def _log_format(arguments: Sequence[str]) -> str:
    for index, one in enumerate(arguments):
        if one == "--log-format" and index + 1 < len(arguments):
            return arguments[index + 1]
        if one.startswith("--log-format="):
            return one.partition("=")[2]
    return os.environ.get("WELLBEING_LOG_FORMAT", "")
