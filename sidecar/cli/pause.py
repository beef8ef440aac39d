"""``pause``: closes a scope's gate."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import duration
from .client_arguments import add_all, add_connection, add_output, add_scope
from .exit_statuses import OK, USAGE, CommandFailed
from .output import print_snapshot, scope_name
from .scope_check import note_unknown_scope
from .sidecar_requests import request

EXAMPLES = (
    'pause team-a/llama --reason "checking the model"',
    'pause --all --reason "maintenance" --max-pause-secs 1h',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_scope(parser, without_scope="--all is required")
    add_connection(parser)
    add_output(parser)
    parser.add_argument(
        "--reason", required=True, help="the reason, which appears in the responses to waiting requests"
    )
    parser.add_argument(
        "--max-pause-secs",
        type=duration,
        metavar="DURATION",
        help="the pause ends by itself after this time, such as 5m; 0: never (default: the policy's)",
    )
    add_all(parser, "close every gate")


def run(options: argparse.Namespace) -> int:
    """Put a manual hold."""
    check_target(options, "pause", "close every gate")
    note_unknown_scope(options, "it is created and paused")
    body: dict[str, Any] = {"reason": options.reason}
    if options.max_pause_secs is not None:
        body["max_pause_secs"] = options.max_pause_secs
    snapshot = request(options, "POST", "pause", body=body)
    print_snapshot(snapshot, output=options.output)
    if snapshot["gate"] == "open":
        scope = scope_name(options.scope)
        raise CommandFailed(
            f"the hold is put, but the gate of {scope} stays open, because its policy is not enabled"
        )
    return OK


def check_target(options: argparse.Namespace, command: str, effect: str) -> None:
    """Require either a scope or ``--all``, so that an empty variable in a script does not mean everything.

    Raises:
        CommandFailed: neither or both are given.
    """
    if options.all and options.scope:
        raise CommandFailed(f"{command}: give a scope or --all, not both", USAGE)
    if not options.scope and not options.all:
        raise CommandFailed(f"{command}: name a scope; to {effect}, say --all", USAGE)
