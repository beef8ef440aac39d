"""Logs on stderr: an event a line, for people or for programs.

An event is a short name; what belongs to it stands in fields: ``logger.info("pause",
extra={"fields": {"scope": "team-a"}})``. ``at`` beside ``fields`` is when it happened, if not now.
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
        level: the least that is logged: debug, info, warning, error.
        style: ``console``: lines for people; ``json``: one object a line.
    """
    # Lines do not tell where in the code, on which thread or in which process: to find that out takes as
    # long as the rest of a line (the logging HOWTO's "Optimization").
    logging._srcfile = None  # noqa: SLF001 - named there
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What the server says of itself matters when something is wrong; its own progress does not.
    for name in ("gunicorn", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, dict) else {}


class _Json(logging.Formatter):
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


class _Console(logging.Formatter):
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
    # What is told later than it happened bears the time when it did.
    moment = datetime.fromtimestamp(getattr(record, "at", record.created), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
