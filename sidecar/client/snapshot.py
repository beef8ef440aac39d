"""What a sidecar says of a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_MAX_RETRY_SECS = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The members of the sidecar's own snapshot.

    Attributes:
        scope: whose gate.
        gate: ``open`` or ``closed``.
        state: the scope's own state.
        effective_state: the worst of it and those above.
        reason: why it is closed; None: it is open.
        since: RFC 3339; None: it is open.
        until: RFC 3339; None: it is open, or closed without an end.
        held_by: whose hold closes it.
        version: grows with each change.
    """

    scope: str
    gate: str
    state: str
    effective_state: str
    reason: str | None
    since: str | None
    until: str | None
    held_by: str | None
    version: int

    @classmethod
    def of(cls, members: object) -> Snapshot:
        """The snapshot of a sidecar's answer.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(members, Mapping) or members.get("gate") not in ("open", "closed"):
            raise ValueError("the answer is no snapshot of a gate")
        values: dict[str, Any] = {name: members.get(name) for name in cls.__slots__}
        return cls(**values)

    @property
    def is_open(self) -> bool:
        """Whether requests pass."""
        return self.gate == "open"

    def retry_after(self, now: float) -> int:
        """Seconds after which to ask again, from 1 to 10: a pause may end early. ``now`` is wall time."""
        left = float(_MAX_RETRY_SECS)
        if self.until:
            try:
                left = datetime.fromisoformat(self.until).astimezone(UTC).timestamp() - now
            except ValueError:
                left = _MAX_RETRY_SECS
        return max(1, min(_MAX_RETRY_SECS, math.ceil(left)))
