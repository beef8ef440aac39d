"""``resume``: lifts every hold of a scope, and reports which scopes stay closed."""

from __future__ import annotations

import argparse
from typing import Any

from .client_arguments import add_request_arguments
from .exit_statuses import OK, CommandFailed
from .output import describe_hold, print_line, print_note, print_snapshot, scope_name, snapshot_line
from .scope_check import status_if_allowed, unknown_scope_message
from .sidecar_requests import request

_MAX_SHOWN = 10

EXAMPLES = ("resume team-a/llama",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_request_arguments(parser)
    parser.add_argument("--reason", default="", help="the reason, for the history")


def run(options: argparse.Namespace) -> int:
    """Lift the holds."""
    before = status_if_allowed(options)
    message = unknown_scope_message(before)
    if message and before is not None:
        follows = scope_name(before["follows"])
        closed = f", which is closed by {describe_hold(before)}" if before["gate"] == "closed" else ""
        raise CommandFailed(f"{message}, so nothing was resumed: it follows {follows}{closed}")
    snapshot = request(options, "POST", "resume", body={"reason": options.reason})
    print_snapshot(snapshot, output=options.output)
    if before is not None and not before["holds"] and not before.get("trial"):
        print_note(f"{scope_name(options.scope)} had no hold of its own, so no hold was lifted")
    if snapshot["gate"] == "closed":
        raise CommandFailed(_still_closed(snapshot))
    after = status_if_allowed(options)
    if after is not None and options.output == "table":
        _print_closed_inside(after)
    return OK


def _still_closed(snapshot: dict[str, Any]) -> str:
    scope, holder = scope_name(snapshot["scope"]), snapshot["held_by"]
    line = f"{scope} is still closed by {describe_hold(snapshot)}"
    if holder == snapshot["scope"]:
        return line
    command = f"wellbeing-sidecar resume {holder}".rstrip()
    return f"{line}; to open it: {command}"


def _print_closed_inside(status: dict[str, Any]) -> None:
    closed = [
        one for one in status.get("unwell", ()) if one["gate"] == "closed" and one["scope"] != status["scope"]
    ]
    total = status.get("closed_total", len(closed))
    if not total:
        return
    print_line(f"Inside, {total} {'scope stays' if total == 1 else 'scopes stay'} closed:")
    for one in closed[:_MAX_SHOWN]:
        print_line(f"    {snapshot_line(one)}")
    if total > _MAX_SHOWN:
        print_line(f"    and {total - min(len(closed), _MAX_SHOWN)} more (see wellbeing-sidecar status)")
