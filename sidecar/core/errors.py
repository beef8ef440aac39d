"""What the core refuses, each with what was wrong and what would be right."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 80


def shown(value: object) -> str:
    """``value`` as it may stand in an error: quoted, escaped and cut."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class CoreError(ValueError):
    """A value that the core refuses."""


class InvalidState(CoreError):
    """A name that is no wellbeing state."""

    def __init__(self, got: object, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{shown(got)} is no wellbeing state: use one of {', '.join(allowed)}")


class InvalidScope(CoreError):
    """A text that is no scope path."""

    def __init__(self, got: object, why: str) -> None:
        super().__init__(f"{shown(got)} is no scope: {why}")


class InvalidPolicy(CoreError):
    """A policy whose values contradict each other or are out of range."""

    def __init__(self, key: str, why: str) -> None:
        self.key = key
        super().__init__(f"{key}: {why}")


class TooManySignals(CoreError):
    """A command that would put more signals into a scope than it may have."""

    def __init__(self, scope: str, limit: int) -> None:
        where = shown(scope) if scope else "the root"
        super().__init__(f"{where} may have at most {limit} signals (limits.max_signals_per_scope)")


class TooManyScopes(CoreError):
    """A command that would name more scopes than may be known."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit} scopes may be known (limits.max_scopes)")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Which of ``known`` somebody may have meant who wrote ``name``; None: none of them."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    return near[0] if near else None
