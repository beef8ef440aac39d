"""``state``: reports an agent's own state."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import positive_duration
from .client_arguments import add_target_arguments, check_target
from .exit_statuses import OK
from .output import print_note, print_snapshot
from .scope_check import unknown_scope_note
from .sidecar_requests import request

EXAMPLES = (
    'state team-a/agent-7 concerned --reason "answers repeat" --ttl-secs 10m',
    "state team-a/agent-7 healthy",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_target_arguments(parser, "report the state of everything")
    parser.add_argument("state", choices=("healthy", "cautious", "concerned", "distressed"))
    parser.add_argument("--reason", default="", help="the reason")
    parser.add_argument("--source", help="the agent's name (default: default)")
    parser.add_argument(
        "--ttl-secs",
        type=positive_duration,
        metavar="DURATION",
        help="the report expires after this time, such as 90 or 5m (default: never)",
    )


def run(options: argparse.Namespace) -> int:
    """Set or renew the agent's signal."""
    check_target(options)
    note = unknown_scope_note(options, "it is created")
    body: dict[str, Any] = {"state": options.state, "reason": options.reason}
    if options.source is not None:
        body["source"] = options.source
    if options.ttl_secs is not None:
        body["ttl_secs"] = options.ttl_secs
    snapshot = request(options, "PUT", "state", body=body)
    if note:
        # Print the note after the command, because a refused command creates no scope.
        print_note(note)
    print_snapshot(snapshot, output=options.output)
    return OK
