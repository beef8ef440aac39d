"""A local file with the last known state, for a start while the shared store cannot be reached."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.core.values import ScopeRecord, Tombstone

from .base import LostCommit, Position, StoredState, Versions
from .json_values import decode, encode

logger = logging.getLogger(__name__)

_FORMAT = 1


def save_last_known(path: Path, state: StoredState, sidecars: int) -> None:
    """Write ``state`` to ``path`` atomically: a reader finds the old or the new file. Raises `OSError`.

    ``sidecars`` is the size of the fleet.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(
        os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
    ) as file:
        head = {
            "format": _FORMAT,
            "at": state.last_written_at,
            "position": encode(state.position),
            "seen_watchdog": state.seen_watchdog,
            "sidecars": sidecars,
        }
        file.write(json.dumps(head) + "\n")
        # Line by line, so that other threads can run in between.
        for scope, record in state.records.items():
            lost_commit = state.restored.get(scope)
            version = state.versions.scopes.get(scope, 0)
            file.write(
                json.dumps(["s", scope, version, encode(record), lost_commit and encode(lost_commit)]) + "\n"
            )
        for source, version in state.versions.sources.items():
            file.write(json.dumps(["a", source, version]) + "\n")
        for source, tombstone in state.tombstones.items():
            file.write(json.dumps(["t", source, encode(tombstone)]) + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def load_last_known(path: Path) -> StoredState | None:
    """The state in ``path``; None: there is none, or it cannot be read, which is logged."""
    try:
        with path.open(encoding="ascii") as file:
            head = json.loads(file.readline())
            return _state_of(head, [json.loads(line) for line in file])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        logger.error("last_known_unreadable", extra={"fields": {"file": str(path), "error": str(error)}})
        return None


def _state_of(head: Mapping[str, Any], lines: list[Any]) -> StoredState:
    if head["format"] != _FORMAT:
        raise ValueError(f"it has the format {head['format']!r}, this sidecar knows {_FORMAT}")
    records, tombstones, restored = {}, {}, {}
    scopes, sources = {}, {}
    for kind, key, *rest in lines:
        if kind == "s":
            scopes[key] = int(rest[0])
            records[key] = decode(ScopeRecord, rest[1])
            if rest[2] is not None:
                restored[key] = decode(LostCommit, rest[2])
        elif kind == "a":
            sources[key] = int(rest[0])
        elif kind == "t":
            tombstones[key] = decode(Tombstone, rest[0])
    # A scope that was never committed has version 0, which means the same as no version.
    scopes = {scope: version for scope, version in scopes.items() if version}
    return StoredState(
        records,
        tombstones,
        last_written_at=head["at"],
        seen_watchdog=head["seen_watchdog"],
        position=decode(Position, head["position"]),
        versions=Versions(scopes, sources),
        restored=restored,
        is_last_known=True,
        sidecars=int(head.get("sidecars", 1)),
    )
