"""``history``: what happened in a scope and inside it, newest first."""

from __future__ import annotations

import argparse

from .asking import ask
from .exit_statuses import OK
from .names import note_unknown
from .output import emit, emit_json, scope_name, source_name

_PARAMETERS = ("limit", "kind", "since", "until", "cursor")


def run(options: argparse.Namespace) -> int:
    """Print one page."""
    params = {name: getattr(options, name) for name in _PARAMETERS if getattr(options, name) is not None}
    page = ask(options, "GET", "history", params=params)
    if not page["entries"]:
        note_unknown(options, "the history has no entry of it")
    if options.json:
        emit_json(page)
        return OK
    for entry in page["entries"]:
        cause = f" ({entry['cause']})" if entry["cause"] else ""
        by = source_name(entry["source"], entry.get("alertname"))
        change = f"{entry['kind']}{cause}, {entry['from']} to {entry['to']}, by {by}"
        reason = f": {entry['reason']}" if entry["reason"] else ""
        emit(f"{entry['at']} {scope_name(entry['scope'])}: {change}{reason}")
    if page["next_cursor"]:
        emit(f"more: --cursor {page['next_cursor']}")
    return OK
