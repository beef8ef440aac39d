"""The error of an invalid config."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigError(ValueError):
    """An invalid config.

    Attributes:
        problems: all problems, each with its location, its key and what is wrong.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))
