"""``history``: shows the events of a scope and everything inside it, newest first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from .arguments import timestamp
from .client_arguments import add_request_arguments
from .exit_statuses import OK
from .output import print_items, print_json, print_note, print_text, scope_name, source_name
from .scope_check import note_unknown_scope
from .sidecar_requests import request
from .tables import Table, short_time

_PARAMETERS = ("kind", "since", "until", "cursor", "limit")
_HEADINGS = ("TIME", "SCOPE", "EVENT", "CHANGE", "BY", "REASON")
_LARGEST_PAGE = 1_000

EXAMPLES = (
    "history team-a --since 2h --kind pause,resume",
    "history --all --output jsonl",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_request_arguments(parser)
    parser.add_argument("--all", action="store_true", help="print all entries, not one page")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="entries to print (default: 20)")
    parser.add_argument(
        "--kind",
        help="intervention, pause, resume, hold, lift, engine, blind, store; joined by commas (default: all)",
    )
    parser.add_argument(
        "--since",
        type=timestamp,
        metavar="TIME",
        help="a time such as 2026-11-23T09:00:00Z, or how long ago, such as 90s, 5m, 1d",
    )
    parser.add_argument("--until", type=timestamp, metavar="TIME", help="same format as --since")
    parser.add_argument("--cursor", help="continue after a page; the command prints the value")


def run(options: argparse.Namespace) -> int:
    """Print one page, or all pages."""
    pages = _pages(options)
    first = next(pages)
    if not first["entries"]:
        note_unknown_scope(options, "the history has no entries for it")
    if options.output == "json":
        everything = [first, *pages]
        entries = [entry for page in everything for entry in page["entries"]]
        print_json({**first, "entries": entries, "next_cursor": everything[-1]["next_cursor"]})
        return OK
    table = Table(_HEADINGS)
    _print(table, first, options.output)
    last = first
    for page in pages:
        _print(table, page, options.output)
        last = page
    if last["next_cursor"] and not options.all:
        print_note(f"there may be more entries: --all, or --cursor {last['next_cursor']}")
    return OK


def _pages(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    params = {name: getattr(options, name) for name in _PARAMETERS if getattr(options, name) is not None}
    if options.all:
        params["limit"] = _LARGEST_PAGE
    while True:
        page = request(options, "GET", "history", params=params)
        yield page
        if not options.all or not page["next_cursor"]:
            return
        params["cursor"] = page["next_cursor"]


def _print(table: Table, page: dict[str, Any], output: str) -> None:
    entries = page["entries"]
    if output == "jsonl":
        print_items(entries)
    else:
        rows = [_row(entry) for entry in entries]
        table.fit(rows)
        for row in rows:
            for line in table.lines(row):
                print_text(line)
    sys.stdout.flush()


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    cause = f" ({entry['cause']})" if entry["cause"] else ""
    source = source_name(entry["source"], entry.get("alertname"))
    actor = entry.get("actor")
    return (
        short_time(entry["at"]),
        scope_name(entry["scope"]),
        entry["kind"] + cause,
        f"{entry['from']} to {entry['to']}",
        f"{source}, {actor}" if actor and actor != entry["source"] else source,
        entry["reason"],
    )
