"""The parts of the config's schema: keys, sections and lists of sections."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import Check

TEXT_KINDS = (
    "dotted path", "hash", "hex", "name", "path", "scope", "state", "store", "template", "text", "URL",
    "variable", "version", "word",
)  # fmt: skip
"""The kinds of keys whose value is text."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key with a plain value.

    Attributes:
        check: converts the value, or raises `ValueError`.
        kind: the type, in one or two words.
        default: the default; None: the key is required.
        description: one line for the reference.
    """

    check: Check
    kind: str
    default: object
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """A key with nested keys.

    Attributes:
        keys: the keys by name.
        short: the key that gets the value if the config has a plain value instead of the section.
    """

    keys: dict[str, Key | Section | SectionList]
    short: str | None = None


@dataclass(frozen=True, slots=True)
class SectionList:
    """A key with a list of sections."""

    section: Section
    description: str


Keys = dict[str, Key | Section | SectionList]
"""Keys by name."""
