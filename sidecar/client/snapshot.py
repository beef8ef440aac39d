"""The sidecar's snapshot of a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

_GATES = ("open", "restricted", "closed")
_MAX_RETRY_SECS = 10
_MAX_QUEUE_SECS = 300.0
_RETRY_SPREAD_SECS = 5


@dataclass(frozen=True, slots=True)
class Advice:
    """A pause or a restriction that the policy advises without closing or restricting the gate.

    Attributes:
        reason: why.
        since: RFC 3339.
        until: RFC 3339; None: there is no time limit.
        admit_per_sec: how many requests per second the restriction would admit; None: it is a pause.
    """

    reason: str
    since: str
    until: str | None
    admit_per_sec: float | None = None

    @classmethod
    def of(cls, members: object) -> Advice | None:
        """Parse the member ``advice`` of a snapshot; None: there is none.

        Raises:
            ValueError: it is no advice.
        """
        if members is None:
            return None
        if isinstance(members, Mapping):
            reason, since, until, rate = (members.get(name) for name in cls.__slots__)
            is_rate = _has_type("admit_per_sec", rate)
            if (
                isinstance(reason, str)
                and isinstance(since, str)
                and isinstance(until, str | None)
                and is_rate
            ):
                return cls(reason, since, until, rate)
        raise ValueError(f"the answer is not a snapshot of a gate: advice is {str(members)[:50]!r}")


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """The sidecar's snapshot of a gate.

    Attributes:
        scope: the scope of the gate.
        gate: ``open``, ``restricted`` (requests pass at a rate or in a trial) or ``closed``.
        state: the scope's own state.
        effective_state: the worst of the scope's state and its ancestors'.
        reason: why the gate is not open; None: it is open.
        since: RFC 3339; None: the gate is open.
        until: RFC 3339; None: the gate is open, or there is no time limit.
        held_by: the scope whose hold, restriction or trial applies.
        admit_per_sec: requests per second that a restriction or ramp admits in all; None: no rate applies.
        version: grows with each change.
        advice: the pause, or else the restriction, that the policy only advises; None: it advises neither.
    """

    scope: str
    gate: str
    state: str
    effective_state: str
    reason: str | None
    since: str | None
    until: str | None
    held_by: str | None
    admit_per_sec: float | None
    version: int
    advice: Advice | None = None

    @classmethod
    def of(cls, members: object) -> GateSnapshot:
        """Parse the snapshot in a sidecar's response.

        Args:
            members: the parsed JSON of the answer.

        Raises:
            ValueError: it is not a snapshot, or a member has a wrong type.
        """
        if not isinstance(members, Mapping) or members.get("gate") not in _GATES:
            raise ValueError("the answer is not a snapshot of a gate")
        values: dict[str, Any] = {name: members.get(name) for name in cls.__slots__ if name != "advice"}
        for name, value in values.items():
            if not _has_type(name, value):
                raise ValueError(f"the answer is not a snapshot of a gate: {name} is {str(value)[:50]!r}")
        return cls(**values, advice=Advice.of(members.get("advice")))

    @property
    def is_open(self) -> bool:
        """Whether requests pass."""
        return self.gate == "open"

    @property
    def is_restricted(self) -> bool:
        """Whether requests pass at a rate or in a trial."""
        return self.gate == "restricted"

    def retry_after(self, now: float) -> int:
        """Seconds to wait before a retry, 1 to 10, because a pause may end early. ``now`` is wall time."""
        left = float(_MAX_RETRY_SECS)
        if self.until:
            try:
                left = datetime.fromisoformat(self.until).astimezone(UTC).timestamp() - now
            except (ValueError, OverflowError, OSError):
                left = _MAX_RETRY_SECS
        return max(1, math.ceil(min(_MAX_RETRY_SECS, left)))


def _has_type(name: str, value: object) -> bool:
    if name == "version":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "admit_per_sec":
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    if name in ("reason", "since", "until", "held_by") and value is None:
        return True
    return isinstance(value, str)


def spread_retry_after(secs: int, random: Random) -> int:
    """Randomize ``secs`` (1 to 10), so that clients that were refused together do not retry together.

    The result is from 1 to 10, and at least ``secs`` unless ``secs`` is above 5.
    """
    first = min(secs, _RETRY_SPREAD_SECS)
    return random.randint(first, first + _RETRY_SPREAD_SECS)


def spread_turn(secs: float, random: Random) -> int:
    """When to retry at a restricted gate where a new request can expect to pass in ``secs`` seconds.

    A client that retries earlier only queues again. At most five minutes, and up to half as much again, so
    that clients that were refused together do not retry together.
    """
    least = max(1, math.ceil(min(_MAX_QUEUE_SECS, secs)))
    return random.randint(least, least + max(1, least // 2))
