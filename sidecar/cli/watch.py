"""``watch``: prints a scope's snapshot, and each change of the scope and of scopes inside it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from .client_arguments import add_request_arguments
from .exit_statuses import CommandFailed
from .output import print_items, print_note, print_text, scope_name
from .scope_check import note_unknown_scope
from .sidecar_requests import access_of, members, refusal, send, shown_url, unreachable_message
from .tables import Table, short_time

_HEADINGS = ("TIME", "SCOPE", "STATE", "GATE", "UNTIL", "REASON")
_LEAST_WIDTHS = (8, 24, 10, 10, 20)
_WATCH_SECS = 30.0
_QUIET_SECS = 40.0
"""The sidecar sends something every 15 seconds."""
_AGAIN_SECS = 1.0
_OK, _NOT_MODIFIED, _FORBIDDEN = 200, 304, 403
"""A worker may watch a scope, but not read events."""

EXAMPLES = ("watch team-a/llama --json",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_request_arguments(parser)


def run(options: argparse.Namespace) -> NoReturn:
    """Follow until interrupted."""
    note_unknown_scope(options, "it follows {follows}")
    table = Table(_HEADINGS, _LEAST_WIDTHS)
    versions: dict[str, int] = {}
    for snapshot in _snapshots(options):
        # After a reconnect the sidecar repeats the snapshot.
        if versions.get(snapshot["scope"]) == snapshot["version"]:
            continue
        versions[snapshot["scope"]] = snapshot["version"]
        if options.output == "table":
            for line in table.lines(_row(snapshot)):
                print_text(line)
        else:
            # Print one object per line for --json too, because programs read a stream line by line.
            print_items([snapshot])
        sys.stdout.flush()
    raise CommandFailed(f"{shown_url(options)} ended the response")


def _row(snapshot: dict[str, Any]) -> tuple[str, ...]:
    held_by = snapshot["held_by"]
    reason = snapshot["reason"] or ""
    if held_by is not None and held_by != snapshot["scope"]:
        reason += f" (held by {scope_name(held_by)})"
    advice = snapshot.get("advice")
    if advice and not reason:
        reason = f"advice only: {advice['reason']}"
    until = short_time(snapshot["until"]) or ("operator" if snapshot["gate"] == "closed" else "")
    state = snapshot["effective_state"]
    return (time.strftime("%H:%M:%S"), scope_name(snapshot["scope"]), state, snapshot["gate"], until, reason)


def _snapshots(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from sidecar.client.errors import Unreachable  # noqa: PLC0415 - `serve` does not need it
    from sidecar.client.event_stream import EventStream, StreamRefused  # noqa: PLC0415

    access = access_of(options)
    was_connected = False
    while True:
        try:
            for name, data in EventStream(access, "wellbeing-sidecar").events(_QUIET_SECS):
                was_connected = True
                if name in ("snapshot", "change"):
                    yield json.loads(data)
            print_note("the sidecar ended the connection: connecting again")
        except StreamRefused as error:
            if error.response.status == _FORBIDDEN:
                yield from _polled(options)
            raise CommandFailed(refusal(options, error.response)) from None
        except Unreachable as error:
            if not was_connected:
                raise CommandFailed(unreachable_message(options, error, _QUIET_SECS)) from error
            print_note(f"{error}: connecting again")
        except ValueError:
            raise CommandFailed(f"{shown_url(options)} does not send events as a sidecar does") from None
        time.sleep(_AGAIN_SECS)


def _polled(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    etag = None
    while True:
        headers: dict[str, str] = {"If-None-Match": etag} if etag else {}
        answer = send(
            options, "GET", "watch", headers=headers, params={"wait": _WATCH_SECS}, wait=_WATCH_SECS
        )
        if answer.status == _OK:
            snapshot = members(options, answer)
            etag = answer.headers.get("ETag")
            if etag is None:
                raise CommandFailed(
                    f"{shown_url(options)} answers without an ETag: a proxy in between has removed it"
                )
            yield snapshot
        elif answer.status != _NOT_MODIFIED:
            raise CommandFailed(refusal(options, answer))
