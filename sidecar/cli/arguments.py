"""Parses the values of flags."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from sidecar.durations import parse_duration


def duration(text: str) -> float:
    """Seconds: a number, or a duration such as ``5m``."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive_duration(text: str) -> float:
    """A `duration` above 0."""
    secs = duration(text)
    if not secs:
        raise argparse.ArgumentTypeError("must be above 0 seconds, got 0")
    return secs


def timestamp(text: str) -> str:
    """A time in RFC 3339, or a duration before now."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return text
    try:
        ago = timedelta(seconds=parse_duration(text))
        return (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        message = f"must be a time like 2026-11-23T09:00:00Z, or how long ago, like 5m or 1d; got {text!a}"
        raise argparse.ArgumentTypeError(message) from None
