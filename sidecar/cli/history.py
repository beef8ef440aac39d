"""``history``: shows the events of a scope and everything inside it, newest first."""

from __future__ import annotations

import argparse

from .exit_statuses import OK
from .output import print_json, print_line, scope_name, source_name
from .scope_check import note_unknown_scope
from .sidecar_requests import request

_PARAMETERS = ("limit", "kind", "since", "until", "cursor")


def run(options: argparse.Namespace) -> int:
    """Print one page."""
    params = {name: getattr(options, name) for name in _PARAMETERS if getattr(options, name) is not None}
    page = request(options, "GET", "history", params=params)
    if not page["entries"]:
        note_unknown_scope(options, "the history has no entry of it")
    if options.json:
        print_json(page)
        return OK
    for entry in page["entries"]:
        cause = f" ({entry['cause']})" if entry["cause"] else ""
        source = source_name(entry["source"], entry.get("alertname"))
        change = f"{entry['kind']}{cause}, {entry['from']} to {entry['to']}, by {source}"
        reason = f": {entry['reason']}" if entry["reason"] else ""
        print_line(f"{entry['at']} {scope_name(entry['scope'])}: {change}{reason}")
    if page["next_cursor"]:
        print_line(f"more: --cursor {page['next_cursor']}")
    return OK
