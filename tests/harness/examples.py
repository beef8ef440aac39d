"""How many examples a property-based test tries: few by default, many with HYPOTHESIS_PROFILE=thorough."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
_TIMES = 20
DEFAULT = 40


def examples(count: int = DEFAULT) -> int:
    """``count``, or 20 times as many in a thorough run."""
    return count * _TIMES if THOROUGH else count
