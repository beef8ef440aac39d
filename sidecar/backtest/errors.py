"""What stops a backtest, each in one plain sentence."""

from __future__ import annotations


class BacktestError(Exception):
    """A backtest that cannot be done; the message says why and what to do."""


class InvalidInput(BacktestError):
    """The backtest's own input is wrong: an argument, a rule file."""


class AnswerTooLarge(BacktestError):
    """Prometheus cannot answer for so many points at once; fewer may do."""
