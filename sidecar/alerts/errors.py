"""What is refused, each with what was wrong and where."""

from __future__ import annotations


class InvalidNotification(ValueError):
    """A body that is no webhook notification of version 4.

    The text goes into Alertmanager's log, so it tells of places and types, not of values.
    """

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        self.why = why
        super().__init__(f"{where}: {why}")


class NotificationTooLarge(InvalidNotification):
    """One with more in it than may be."""


class InvalidMatcher(ValueError):
    """A text that is no matcher."""


class InvalidRule(ValueError):
    """A rule that could not be applied."""
