"""Formats durations and times for reports."""

from __future__ import annotations

from datetime import UTC, datetime


def span(secs: float) -> str:
    """``secs`` in its two largest units, as ``1h 12m``."""
    whole = round(secs)
    if not whole:
        return "0s" if not secs else f"{secs:.1f}s"
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def share(part: float) -> str:
    """``part`` (0 to 1) in per cent. Only zero is shown as zero."""
    if 0 < part < 0.0005:  # noqa: PLR2004 - what would be rounded to 0.0 %
        return "<0.1%"
    return f"{part:.1%}"


def minute(at: float) -> str:
    """``at``, seconds since the epoch, in UTC to the second, without a zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def scope_name(scope: str) -> str:
    """``scope`` for people."""
    return scope or "(root)"


def times(count: int, what: str) -> str:
    """``count`` and ``what``, in the plural unless ``count`` is 1."""
    return f"{count} {what}{'' if count == 1 else 's'}"
