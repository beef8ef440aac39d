"""Commits whose response was lost: the store may have stored them."""

from __future__ import annotations

from collections import OrderedDict

from sidecar.core.commands import CommandOutcome

_MAX_REMEMBERED = 1_000


class UnansweredCommits:
    """Keeps the outcomes of commits without a response, to count and log them if the store has the commit."""

    def __init__(self) -> None:
        self._by_token: OrderedDict[str, list[CommandOutcome]] = OrderedDict()

    def add(self, token: str, outcomes: list[CommandOutcome]) -> None:
        """Add the commit with ``token``, whose response was lost. ``outcomes``: what was decided in it."""
        self._by_token[token] = outcomes
        if len(self._by_token) > _MAX_REMEMBERED:
            self._by_token.popitem(last=False)

    def take(self, token: str) -> list[CommandOutcome]:
        """Remove and return the outcomes of the stored commit with ``token``, if its response was lost."""
        return self._by_token.pop(token, [])
