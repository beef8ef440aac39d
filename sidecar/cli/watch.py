"""``watch``: prints a scope's snapshot, and each change of it."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from .exit_statuses import CommandFailed
from .output import print_snapshot
from .scope_check import note_unknown_scope
from .sidecar_requests import members, refusal, send

_WATCH_SECS = 30.0
_OK, _NOT_MODIFIED = 200, 304


def run(options: argparse.Namespace) -> NoReturn:
    """Poll until interrupted."""
    note_unknown_scope(options, "it follows {follows}")
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
                raise CommandFailed(f"{options.url} answers without an ETag: a proxy in between removes it")
            print_snapshot(snapshot, as_json=options.json)
            sys.stdout.flush()
        elif answer.status != _NOT_MODIFIED:
            raise CommandFailed(refusal(options, answer))
