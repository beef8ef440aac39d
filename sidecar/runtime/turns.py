"""Turns: sidecars that change the same scope at the same time commit one after the other.

Without turns, each of n sidecars decides again after every commit of the others: n * n / 2 decisions, of
which n succeed. So a conflict response says how many sidecars already wait for the same key. The sidecar
waits for that many commits of the key, and then decides once.

Rules of this file: a turn is a hint about when to try. What may be committed depends on the versions only.
So a sidecar that stops in its turn delays the others for `_MAX_SILENCE_SECS`, and a wrong number costs a
conflict.
"""

from __future__ import annotations

import json

from sidecar.store import Conflict, LoggedCommit

_MAX_SILENCE_SECS = 0.2
"""Seconds without a commit of the key, after which the sidecar whose turn it is loses its turn."""

_LATE_SECS = 0.02
"""A check that comes later than this shows that the event loop was busy."""


class Turn:
    """The place of this sidecar among the sidecars that wait to change a key.

    Args:
        conflict: the conflict that assigned the place.
        now: time of the event loop.

    Attributes:
        ahead: how many commits of the key to wait for.
        silent_at: when the next sidecar ahead loses its turn.
    """

    def __init__(self, conflict: Conflict, now: float) -> None:
        self.ahead = conflict.ahead
        self.silent_at = now + _MAX_SILENCE_SECS
        self._seq = conflict.seq
        # The key as it appears in the text of a commit. If it appears there for another reason, the cost is a
        # conflict.
        self._name = json.dumps(conflict.key.partition(":")[2]).encode()

    @property
    def follow_up_secs(self) -> float:
        """How long the core state may lag behind the gates. Many commits take little longer than one."""
        return 0.05 + 0.005 * self.ahead

    def note(self, commit: LoggedCommit, now: float) -> None:
        """Note that ``commit`` has arrived ``now``."""
        if commit.position.seq > self._seq:
            self._seq = commit.position.seq
            if self._name in commit.text:
                self.advance(now)

    def check_silence(self, now: float) -> None:
        """Skip the next sidecar ahead if it has been silent for too long at the time ``now``."""
        late = now - self.silent_at
        if late > _LATE_SECS:
            # First read the commits that have arrived while the event loop was busy.
            self.silent_at = now + _LATE_SECS
        elif late >= 0:
            self.advance(now)

    def advance(self, now: float) -> None:
        """The next sidecar ahead has committed, or has lost its turn."""
        self.ahead -= 1
        self.silent_at = now + _MAX_SILENCE_SECS
