"""The errors that end a backtest. Each message is one sentence."""

from __future__ import annotations


class BacktestError(Exception):
    """The backtest cannot be done; the message says why, and what to do."""


class InvalidInput(BacktestError):
    """The input of the backtest is wrong: an argument or a rule file."""


class AnswerTooLarge(BacktestError):
    """Prometheus cannot answer a query with this many points; fewer may work."""
