"""``pause``: closes a scope's gate."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import duration
from .client_arguments import add_target_arguments, check_target
from .exit_statuses import OK, CommandFailed
from .output import print_note, print_snapshot, scope_name
from .scope_check import unknown_scope_note
from .sidecar_requests import request

EXAMPLES = (
    'pause team-a/llama --reason "checking the model"',
    'pause --all --reason "maintenance" --max-pause-secs 1h',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_target_arguments(parser, "close every gate")
    parser.add_argument(
        "--reason", required=True, help="the reason, which appears in the responses to waiting requests"
    )
    parser.add_argument(
        "--max-pause-secs",
        type=duration,
        metavar="DURATION",
        help="the pause ends by itself after this time, such as 5m; 0: never (default: the policy's)",
    )


def run(options: argparse.Namespace) -> int:
    """Put a manual hold."""
    check_target(options)
    note = unknown_scope_note(options, "it is created and paused")
    body: dict[str, Any] = {"reason": options.reason}
    if options.max_pause_secs is not None:
        body["max_pause_secs"] = options.max_pause_secs
    snapshot = request(options, "POST", "pause", body=body)
    if note:
        # Print the note after the command, because a refused command creates no scope.
        print_note(note)
    print_snapshot(snapshot, output=options.output)
    if snapshot["gate"] == "open":
        scope = scope_name(options.scope)
        raise CommandFailed(
            f"the hold is put, but the gate of {scope} stays open, because its policy is not enabled"
        )
    return OK
