"""Turns: sidecars that command the same scope at the same time commit one after the other.

Without turns, each of n sidecars decides again after every commit of the others: n * n / 2 decisions, of which
n succeed. So the answer to a conflict says how many sidecars wait for the same key already. Each waits for
that many commits of the key, and then decides once.

Rules of this file: a turn is a hint about when to try. What may be committed depends on the versions only. So
a sidecar that stops in its turn delays the others for `_MAX_SILENCE_SECS`, and a wrong number costs a conflict.
"""

from __future__ import annotations

from sidecar.store import Change, Conflict

_MAX_SILENCE_SECS = 0.05
"""Seconds without a commit of the key. Then the sidecar whose turn it was does not come."""


class Turn:
    """The place of this sidecar among those that wait to change a key.

    Args:
        conflict: the conflict by which it got the place.
        now: monotonic time.

    Attributes:
        ahead: how many commits of the key to wait for.
        silent_at: when one of those that are ahead is not waited for any longer.
    """

    def __init__(self, conflict: Conflict, now: float) -> None:
        self.ahead = conflict.ahead
        self.silent_at = now + _MAX_SILENCE_SECS
        self._seq = conflict.seq
        kind, _, self._name = conflict.key.partition(":")
        self._is_source = kind == "source"

    def note(self, change: Change, now: float) -> bool:
        """Note a commit of another sidecar, at monotonic time ``now``. Returns whether it is our turn."""
        keys = change.sources if self._is_source else change.records
        if change.position.seq > self._seq and self._name in keys:
            self._advance(now)
        return self.ahead <= 0

    def skip(self, now: float) -> None:
        """The next of those that are ahead does not come."""
        self._advance(now)

    def _advance(self, now: float) -> None:
        self.ahead -= 1
        self.silent_at = now + _MAX_SILENCE_SECS
