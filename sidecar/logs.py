"""Logging to stderr: one event per line, as text or as JSON.

The message is the short name of an event. Its values are fields: ``logger.info("pause", extra={"fields":
{"scope": "team-a"}})``. ``at`` next to ``fields`` is the time of the event, if it is not now.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

_BARE = re.compile(r"[A-Za-z0-9._:/~-]+", re.ASCII)


def configure(level: str, style: str) -> None:
    """Send all logs to stderr.

    Args:
        level: the minimum level: debug, info, warning or error.
        style: ``console``: lines of text; ``json``: one object per line.
    """
    # Lines have no source position, thread or process. Finding these takes as long as everything else about a
    # line (see "Optimization" in the logging HOWTO).
    logging._srcfile = None  # noqa: SLF001 - documented there
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if style == "json" else _ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Warnings and errors of the web servers are logged, their progress is not.
    for name in ("gunicorn", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, dict) else {}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if not record.name.startswith("sidecar"):
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_console(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname.lower():<8} {record.getMessage()} {fields}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _console(value: object) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return json.dumps(value, default=str)


def _time(record: logging.LogRecord) -> str:
    # An event that is logged late has the time at which it happened.
    moment = datetime.fromtimestamp(getattr(record, "at", record.created), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
