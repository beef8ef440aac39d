"""Checks of digests and hashes in the config."""

from __future__ import annotations

import re

from .checks import text

# Each cost takes twice as long as the previous cost, and 16 takes seconds. The last character of the salt has
# two bits.
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)


def sha256(value: object) -> str:
    """A SHA-256 digest in hex; empty: none."""
    if not re.fullmatch("([0-9a-f]{64})?", text(value)):
        raise ValueError("must be 64 lower-case hex digits: `wellbeing-sidecar token` prints them")
    return text(value)


def bcrypt_hash(value: object) -> str:
    """A bcrypt hash that can be checked within seconds; empty: none."""
    if text(value) and not _BCRYPT.fullmatch(text(value)):
        raise ValueError(
            "must be a bcrypt hash with a cost from 04 to 16: `wellbeing-sidecar hash-password` prints one"
        )
    return text(value)
