"""Errors of this package. Each message says what was wrong and where."""

from __future__ import annotations


class InvalidNotification(ValueError):
    """A body that is not a webhook notification of version 4 or 1.

    Alertmanager writes the message to its log. So the message has positions and types, but no values.
    """

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        self.why = why
        super().__init__(f"{where}: {why}")


class NotificationTooLarge(InvalidNotification):
    """A notification that exceeds a limit."""


class InvalidMatcher(ValueError):
    """Text that is not a matcher."""


class InvalidRule(ValueError):
    """A rule that cannot be applied."""
