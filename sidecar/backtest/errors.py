"""The errors that end a backtest. Each message is one sentence."""

from __future__ import annotations


class BacktestError(Exception):
    """The backtest is not possible; the message says why, and what to do."""


class InvalidInput(BacktestError):
    """The backtest's own input is wrong: an argument, a rule file."""


class AnswerTooLarge(BacktestError):
    """Prometheus cannot answer a query for so many points; fewer may work."""
