"""Commits whose response was lost: the store may have stored them."""

from __future__ import annotations

from collections import OrderedDict

from sidecar.core.commands import CommandOutcome

_MAX_REMEMBERED = 1_000


class UnansweredCommits:
    """Remembers the outcomes of such commits, to count and log them if the commit appears in the log."""

    def __init__(self) -> None:
        self._by_token: OrderedDict[str, list[CommandOutcome]] = OrderedDict()

    def add(self, token: str, outcomes: list[CommandOutcome]) -> None:
        """The commit with ``token`` got no answer; ``outcomes`` were decided in it."""
        self._by_token[token] = outcomes
        if len(self._by_token) > _MAX_REMEMBERED:
            self._by_token.popitem(last=False)

    def take(self, token: str) -> list[CommandOutcome]:
        """The outcomes of the commit with ``token``, which the store has, if its answer was lost."""
        return self._by_token.pop(token, [])
