"""Texts on the page: times relative to now, durations, text from other programs."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from sidecar.clock import rfc3339
from sidecar.core.text import clean_text

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SECS_BELOW = 100
_DAY = 86_400.0
WHY_ADVISED = {
    "observes": "The policy only observes",
    "dry_run": "The policy is a dry run",
    "time_intervals": "The policy's time intervals let it only advise",
    "max_paused_share": "As many sibling scopes as max_paused_share allows were paused",
}
"""Why a pause is advised only, by `AdviceCause`."""


def duration_words(secs: float) -> str:
    """``secs`` in one or two units: ``45 s``, ``4 min``, ``2 h 5 min``, ``3 d``."""
    whole = max(0, round(secs))
    if whole < _SECS_BELOW:
        return f"{whole} s"
    for size, unit in _UNITS:
        if whole >= size:
            count, rest = divmod(whole, size)
            smaller = {"d": (3_600, "h"), "h": (60, "min")}.get(unit)
            more = rest // smaller[0] if smaller else 0
            return f"{count} {unit} {more} {smaller[1]}" if smaller and more else f"{count} {unit}"
    return f"{whole} s"


def relative_words(at: float, now: float) -> str:
    """``in 4 min`` or ``4 min ago``."""
    return f"in {duration_words(at - now)}" if at > now else f"{duration_words(now - at)} ago"


def time_element(at: float, now: float) -> Markup:
    """A ``time`` element: the time relative to ``now``; its title has the exact time."""
    exact = rfc3339(at)
    title = f"{exact[:10]} {exact[11:19]} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, title, relative_words(at, now))


def exact_words(at: float, now: float) -> str:
    """The time of the day in UTC; with the date if it is not within a day of ``now``."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return rfc3339(at)
    return moment.strftime("%H:%M:%S" if abs(now - at) < _DAY else "%Y-%m-%d %H:%M:%S")


def external_text(value: str, limit: int = 1000) -> Markup:
    """Text from another program: one line of ``limit`` characters, isolated from the surrounding text."""
    return Markup('<bdi dir="auto">{}</bdi>').format(clean_text(value, limit))


def scope_name(scope: str) -> str:
    """The name of ``scope`` for people."""
    return scope or "everything (root)"


def count_words(count: int, one: str, many: str = "") -> str:
    """``1 scope``, ``2 scopes``, ``20,000 scopes``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
