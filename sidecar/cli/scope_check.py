"""Whether the sidecar knows the scope that a command names."""

from __future__ import annotations

import argparse
from typing import Any

from .output import print_note, scope_name
from .sidecar_requests import members, send

_OK = 200


def status_if_allowed(options: argparse.Namespace) -> dict[str, Any] | None:
    """The status of the command's scope; None: the credentials do not allow to see it."""
    answer = send(options, "GET", "status")
    return members(options, answer) if answer.status == _OK else None


def unknown_scope_message(status: dict[str, Any] | None) -> str | None:
    """That nobody knows the scope of ``status``, with the nearest known one.

    Returns:
        None where it is known, or where there is no status to tell.
    """
    if status is None or "follows" not in status:
        return None
    near = status.get("nearest")
    hint = f" (did you mean {near}?)" if near else ""
    return f"nobody knows {scope_name(status['scope'])}{hint}"


def note_unknown_scope(options: argparse.Namespace, consequence: str) -> None:
    """Remark that nobody knows the scope of a command. The command does its work all the same.

    Args:
        options: of the command.
        consequence: what that means for it; ``{follows}`` is filled in.
    """
    if not options.scope:
        return
    status = status_if_allowed(options)
    message = unknown_scope_message(status)
    if message and status is not None:
        print_note(f"{message}: {consequence.format(follows=scope_name(status['follows']))}")
