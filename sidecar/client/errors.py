"""Exceptions of the client."""

from __future__ import annotations


class InferencePaused(Exception):
    """The gate stayed closed for as long as the request would wait.

    Attributes:
        reason: why the gate is closed.
        scope: the scope of the gate.
        state: the scope's effective state.
        retry_after: seconds after which it makes sense to ask again; random within a few seconds, so that
            refused clients do not come back at the same moment.
        waited: seconds that the request was ready to wait.
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
        """For pickling: a process pool hands exceptions to another process."""
        return type(self), (self.reason, self.scope, self.state, self.retry_after, self.waited)


class TooManyWaiting(InferencePaused):
    """``max_waiting`` requests wait in this process already; no more may."""


class Unreachable(Exception):
    """The sidecar did not answer in time, or not with what was asked for."""


class Misconfigured(Unreachable):
    """The sidecar cannot be used with these settings: it refuses the request, or a file is missing."""
