"""``/v1/history``: interventions, pauses and resumes, newest first, in pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sidecar.core.errors import short_repr
from sidecar.hooks.events import entry_members
from sidecar.store import KINDS, HistoryEntry, HistoryQuery
from sidecar.web.problems import Problem

MAX_PAGE = 1000


def query_of(scope: str, parameters: Mapping[str, str]) -> HistoryQuery:
    """The history query of a request's parameters.

    Raises:
        Problem: a parameter is not valid.
    """
    kinds = tuple(one for one in parameters.get("kind", "").split(",") if one)
    for kind in kinds:
        if kind not in KINDS:
            raise _wrong("kind", f"one or more of {', '.join(KINDS)}, joined by commas", kind)
    below = parameters.get("below", "true")
    if below not in ("true", "false"):
        raise _wrong("below", "true or false", below)
    return HistoryQuery(
        scope=scope,
        below=below == "true",
        kinds=kinds,
        since=_time("since", parameters.get("since")),
        until=_time("until", parameters.get("until")),
        before_id=_whole("cursor", parameters.get("cursor"), 2**63 - 1),
        limit=_whole("limit", parameters.get("limit"), MAX_PAGE) or 100,
    )


def page_of(entries: list[HistoryEntry], query: HistoryQuery) -> dict[str, Any]:
    """The response: the entries, and the cursor of the next page if there may be one."""
    more = len(entries) == query.limit
    return {
        "entries": [{"id": entry.id, "kind": entry.kind, **entry_members(entry)} for entry in entries],
        "next_cursor": str(entries[-1].id) if more else None,
    }


def _whole(name: str, text: str | None, most: int) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise _wrong(name, f"a whole number from 1 to {most}", text)
    return int(text)


def _time(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        at = moment.timestamp() if moment.tzinfo else math.nan
    except (ValueError, OverflowError):
        at = math.nan
    if math.isnan(at):
        raise _wrong(name, "a time in RFC 3339 with a time zone", text)
    return at


def _wrong(name: str, wanted: str, got: str) -> Problem:
    return Problem("invalid-parameter", f"{name}: must be {wanted}, got {short_repr(got)}")
