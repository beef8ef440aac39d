"""Whether the sidecar knows the scope that a command names."""

from __future__ import annotations

import argparse
from typing import Any

from .asking import members, send
from .output import note, scope_name

_OK = 200


def status_if_allowed(options: argparse.Namespace) -> dict[str, Any] | None:
    """The status of the command's scope; None: the credentials do not allow to see it."""
    answer = send(options, "GET", "status")
    return members(options, answer) if answer.status == _OK else None


def unknown(status: dict[str, Any] | None) -> str | None:
    """That nobody knows the scope of ``status``, with the nearest known one.

    Returns:
        None where it is known, or where there is no status to tell.
    """
    if status is None or "follows" not in status:
        return None
    near = status.get("nearest")
    hint = f" (did you mean {near}?)" if near else ""
    return f"nobody knows {scope_name(status['scope'])}{hint}"


def note_unknown(options: argparse.Namespace, consequence: str) -> None:
    """Remark that nobody knows the scope of a command. The command does its work all the same.

    Args:
        options: of the command.
        consequence: what that means for it; ``{follows}`` is filled in.
    """
    if not options.scope:
        return
    status = status_if_allowed(options)
    said = unknown(status)
    if said and status is not None:
        note(f"{said}: {consequence.format(follows=scope_name(status['follows']))}")
