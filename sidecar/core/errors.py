"""Errors of the core. Each message says what was wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_REPR_LENGTH = 80


def short_repr(value: object) -> str:
    """``value`` for use in an error message: quoted, escaped and shortened."""
    text = ascii(value)
    return text if len(text) <= _MAX_REPR_LENGTH else text[: _MAX_REPR_LENGTH - 1] + "…"


class CoreError(ValueError):
    """A value that the core refuses."""


class InvalidState(CoreError):
    """A name that is not a wellbeing state."""

    def __init__(self, got: object, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{short_repr(got)} is not a wellbeing state: use one of {', '.join(allowed)}")


class InvalidScope(CoreError):
    """A text that is not a scope path."""

    def __init__(self, got: object, why: str) -> None:
        super().__init__(f"{short_repr(got)} is not a scope: {why}")


class InvalidPolicy(CoreError):
    """A policy whose values contradict each other or are out of range."""

    def __init__(self, key: str, why: str) -> None:
        self.key = key
        super().__init__(f"{key}: {why}")


class TooManySignals(CoreError):
    """A command that would exceed the limit of signals in a scope."""

    def __init__(self, scope: str, limit: int) -> None:
        where = short_repr(scope) if scope else "the root"
        super().__init__(f"{where} may have at most {limit} signals (limits.max_signals_per_scope)")


class TooManyScopes(CoreError):
    """A command that would exceed the limit of known scopes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit} scopes may be known (limits.max_scopes)")


def closest_match(name: str, known: Iterable[str]) -> str | None:
    """The most similar of the ``known`` names to ``name``, ignoring case; None: no name is similar."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    by_lower_case = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower_case, 1, 0.5)
    return by_lower_case[near[0]] if near else None
