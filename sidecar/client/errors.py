"""Exceptions of the client."""

from __future__ import annotations


class InferencePaused(Exception):
    """The gate stayed closed until the wait timed out.

    Attributes:
        reason: why the gate is closed.
        scope: the scope of the gate.
        state: the scope's effective state.
        retry_after: seconds to wait before a retry; partly random, so that refused clients do not retry at
            the same moment.
        waited: the timeout of the wait in seconds.
    """

    def __init__(self, reason: str, scope: str, state: str, retry_after: int, waited: float) -> None:
        self.reason = reason
        self.scope = scope
        self.state = state
        self.retry_after = retry_after
        self.waited = waited
        super().__init__(
            f"inference paused due to wellbeing intervention: {reason} (timeout after {waited:g}s)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Support pickling: a process pool sends exceptions to another process."""
        return type(self), (self.reason, self.scope, self.state, self.retry_after, self.waited)


class TooManyWaiting(InferencePaused):
    """``max_waiting`` requests already wait in this process."""


class Unreachable(Exception):
    """The sidecar did not answer in time, or its answer is not valid."""


class Misconfigured(Unreachable):
    """The sidecar cannot be used with these settings: it refuses requests, or a file is missing."""
