"""``hash-password``: hash a password for the config."""

from __future__ import annotations

import argparse
import sys

from .exit_statuses import OK, CommandFailed
from .output import print_line

_MAX_PASSWORD_BYTES = 72
_BCRYPT_COST = 10


def run(_: argparse.Namespace) -> int:
    """Ask for a password at a terminal, else read a line; print its hash."""
    import getpass  # noqa: PLC0415 - no other command needs them

    import bcrypt  # noqa: PLC0415

    try:
        if sys.stdin is not None and sys.stdin.isatty():
            password = getpass.getpass("password: ").encode()
            if getpass.getpass("again: ").encode() != password:
                raise CommandFailed("the two passwords differ")
        else:
            password = sys.stdin.buffer.readline().rstrip(b"\r\n") if sys.stdin is not None else b""
    except (EOFError, UnicodeError) as error:
        raise CommandFailed("no password was given") from error
    if not 0 < len(password) <= _MAX_PASSWORD_BYTES or b"\0" in password:
        raise CommandFailed(
            f"a password has 1 to {_MAX_PASSWORD_BYTES} bytes, none of them 0: bcrypt reads no further"
        )
    print_line(bcrypt.hashpw(password, bcrypt.gensalt(_BCRYPT_COST)).decode())
    return OK
