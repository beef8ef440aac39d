"""The ETag of a snapshot: its version, and in a fleet a digest of its content.

The versions of two sidecars differ even if their snapshots show the same. With versions alone, a client that
moves between the sidecars of a fleet would always get an answer at once, and never wait. So the tag has a
digest of the snapshot's content. A tag of this sidecar is compared by its version, so that no change in
between is missed; a tag of another sidecar by its digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b

from .gate import ScopeGate
from .snapshot import ScopeSnapshot, snapshot_of

_MAX_DIGITS = 20
"""A version has fewer digits. Python refuses to convert a number with thousands of them."""

_DIGEST_BYTES = 12
"""An agent chooses the reason that a snapshot shows. It must not find a reason whose digest hides a
change."""


def etag_of(gate: ScopeGate, snapshot: ScopeSnapshot) -> str:
    """The value of the header ``ETag`` for ``snapshot``, which is of ``gate``."""
    if gate.version_step == 1:
        return f'"{snapshot.version}"'
    return f'"{snapshot.version}-{_digest(snapshot)}"'


def is_current(tags: Iterable[str], gate: ScopeGate, path: str | None) -> bool:
    """Whether one of ``tags`` is the tag of the current snapshot of ``gate``, or of ``path`` inside it."""
    version, step = str(gate.version), gate.version_step
    digest = ""
    for tag in tags:
        text = tag.strip().removeprefix("W/")
        known, _, known_digest = text[1:-1].partition("-")
        if text == "*" or (known == version and text[0] == text[-1] == '"'):
            return True
        is_number = len(known) <= _MAX_DIGITS and known.isdecimal()
        if known_digest and step > 1 and is_number and int(known) % step != gate.version % step:
            digest = digest or _digest(snapshot_of(gate, path))
            if known_digest == digest:
                return True
    return False


def _digest(snapshot: ScopeSnapshot) -> str:
    members = snapshot.to_json()
    del members["version"]
    return blake2b(json.dumps(members).encode(), digest_size=_DIGEST_BYTES).hexdigest()
