"""What a worker may meet."""

from __future__ import annotations


class InferencePaused(Exception):
    """The gate stayed closed for as long as the worker would wait.

    Attributes:
        reason: why it is closed.
        scope: whose gate it is.
        state: the scope's effective state.
        retry_after: seconds after which it makes sense to ask again.
    """

    def __init__(self, reason: str, scope: str, state: str, retry_after: int, waited: float) -> None:
        self.reason = reason
        self.scope = scope
        self.state = state
        self.retry_after = retry_after
        super().__init__(
            f"inference paused due to wellbeing intervention: {reason} (timeout after {waited:g}s)"
        )


class TooManyWaiting(InferencePaused):
    """As many wait in this process as may; nobody else is let wait."""


class Unreachable(Exception):
    """The sidecar did not answer, or not with what was asked for."""
