"""``hash-password``: hashes a password for the config."""

from __future__ import annotations

import argparse
import sys

from .exit_statuses import OK, CommandFailed
from .output import print_line

_MAX_PASSWORD_BYTES = 72
_BCRYPT_COST = 10


def run(_: argparse.Namespace) -> int:
    """Read a password from the terminal, else from standard input; print its hash."""
    import getpass  # noqa: PLC0415 - only this command needs them

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
            f"a password must have 1 to {_MAX_PASSWORD_BYTES} bytes, none of them 0: bcrypt ignores the rest"
        )
    print_line(bcrypt.hashpw(password, bcrypt.gensalt(_BCRYPT_COST)).decode())
    return OK
