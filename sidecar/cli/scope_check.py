"""Checks whether the sidecar knows the scope of a command."""

from __future__ import annotations

import argparse
from typing import Any

from .output import print_note, scope_name
from .sidecar_requests import members, send

_OK = 200


def status_if_allowed(options: argparse.Namespace) -> dict[str, Any] | None:
    """The status of the command's scope; None: the credentials do not allow access to it."""
    answer = send(options, "GET", "status")
    return members(options, answer) if answer.status == _OK else None


def unknown_scope_message(status: dict[str, Any] | None) -> str | None:
    """A message that the scope of ``status`` is unknown, with the most similar known one.

    Returns:
        None: the scope is known, or there is no status.
    """
    if status is None or "follows" not in status:
        return None
    near = status.get("nearest")
    hint = f" (did you mean {near}?)" if near else ""
    return f"{scope_name(status['scope'])} is unknown{hint}"


def unknown_scope_note(options: argparse.Namespace, consequence: str) -> str | None:
    """A note for people if the scope of a command is unknown; None: it is known.

    Args:
        options: the options of the command.
        consequence: the effect of the unknown scope; ``{follows}`` is replaced.
    """
    if not options.scope:
        return None
    status = status_if_allowed(options)
    message = unknown_scope_message(status)
    if not message or status is None:
        return None
    return f"{message}: {consequence.format(follows=scope_name(status['follows']))}"


def note_unknown_scope(options: argparse.Namespace, consequence: str) -> None:
    """Print the note of `unknown_scope_note`."""
    note = unknown_scope_note(options, consequence)
    if note:
        print_note(note)
