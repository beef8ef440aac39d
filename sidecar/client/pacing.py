"""The pauses between a client's requests to its sidecar."""

from __future__ import annotations

from random import Random

_FIRST_BACKOFF_SECS = 0.5
_MAX_BACKOFF_SECS = 15.0
_FIRST_IDLE_SECS = 1.0
_MAX_IDLE_SECS = 5.0
_FREE_CHANGES = 20
_CHANGE_SECS = 0.1
_EARLY = 0.5


def backoff_secs(failures: int, random: Random) -> float:
    """Seconds until the next attempt after ``failures`` in a row; random, so that clients spread out."""
    ceiling = min(_MAX_BACKOFF_SECS, _FIRST_BACKOFF_SECS * 2.0 ** min(failures, 10))
    return random.uniform(0.05, ceiling)


class PollPacer:
    """Prevents a busy loop when long polls return at once.

    Normally a long poll returns early only after a change. With an intermediary that removes the ETag, or a
    server that does not wait, each poll returns at once without a change; then the pauses double. Early
    answers with changes are slowed down only after 20 in a row.

    Args:
        poll_secs: how long a poll without a change should take.
        max_secs: the longest pause.
        random: varies the pauses.
    """

    def __init__(self, poll_secs: float, max_secs: float, random: Random) -> None:
        self._early_secs = min(1.0, poll_secs * _EARLY)
        self._max_secs = min(_MAX_IDLE_SECS, max_secs)
        self._random = random
        self._idle = 0
        self._changes = 0

    def pause_secs(self, took_secs: float, *, changed: bool) -> float:
        """Seconds to wait after a successful poll.

        Args:
            took_secs: how long the poll took.
            changed: whether the answer changed the known state.
        """
        if took_secs >= self._early_secs:
            self._idle = self._changes = 0
            return 0.0
        if changed:
            self._changes += 1
            return _CHANGE_SECS if self._changes > _FREE_CHANGES else 0.0
        self._idle += 1
        ceiling = min(self._max_secs, _FIRST_IDLE_SECS * 2.0 ** min(self._idle, 10))
        return self._random.uniform(ceiling / 2, ceiling)
