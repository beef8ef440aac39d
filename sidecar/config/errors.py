"""The error of an invalid config."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLACE = re.compile(r"(.+?):(\d+): ")


class ConfigError(ValueError):
    """An invalid config.

    Attributes:
        problems: all problems, each with its location, its key and what is wrong, in the order of the file's
            lines. Those without a line come last.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(self.problems))


def _place(problem: str) -> tuple[bool, str, int]:
    found = _PLACE.match(problem)
    return (False, found[1], int(found[2])) if found else (True, "", 0)
