"""``resume``: lift every hold of a scope, and say what stays closed."""

from __future__ import annotations

import argparse
from typing import Any

from .asking import ask
from .exit_statuses import OK, CommandFailed
from .names import status_if_allowed, unknown
from .output import emit, held, note, scope_name, show, snapshot_line

_MOST_SHOWN = 10


def run(options: argparse.Namespace) -> int:
    """Lift the holds."""
    before = status_if_allowed(options)
    said = unknown(before)
    if said and before is not None:
        follows = scope_name(before["follows"])
        closed = f", which is closed by {held(before)}" if before["gate"] != "open" else ""
        raise CommandFailed(f"{said}, so nothing was resumed: it follows {follows}{closed}")
    snapshot = ask(options, "POST", "resume", body={"reason": options.reason})
    show(snapshot, as_json=options.json)
    if before is not None and not before["holds"]:
        note(f"{scope_name(options.scope)} had no hold of its own: there was nothing to lift")
    if snapshot["gate"] == "closed":
        raise CommandFailed(_still_closed(snapshot))
    after = status_if_allowed(options)
    if after is not None and not options.json:
        _tell_closed_inside(after)
    return OK


def _still_closed(snapshot: dict[str, Any]) -> str:
    scope, holder = scope_name(snapshot["scope"]), snapshot["held_by"]
    line = f"{scope} is still closed by {held(snapshot)}"
    if holder == snapshot["scope"]:
        return line
    command = f"wellbeing-sidecar resume {holder}".rstrip()
    return f"{line}; to open it: {command}"


def _tell_closed_inside(status: dict[str, Any]) -> None:
    closed = [
        one for one in status.get("unwell", ()) if one["gate"] != "open" and one["scope"] != status["scope"]
    ]
    total = status.get("closed_total", len(closed))
    if not total:
        return
    emit(f"Inside, {total} {'scope stays' if total == 1 else 'scopes stay'} closed:")
    for one in closed[:_MOST_SHOWN]:
        emit(f"    {snapshot_line(one)}")
    if total > _MOST_SHOWN:
        emit(f"    and {total - min(len(closed), _MOST_SHOWN)} more: wellbeing-sidecar status shows them")
