"""What is wrong with a config."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigError(ValueError):
    """A config that is refused.

    Attributes:
        problems: every one that was found: place, key, what is wrong.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))
