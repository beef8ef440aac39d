"""``token``: makes a bearer token."""

from __future__ import annotations

import argparse

from .exit_statuses import OK
from .output import print_line


def run(_: argparse.Namespace) -> int:
    """Print a new token, and its digest for the config."""
    import hashlib  # noqa: PLC0415 - only this command needs them
    import secrets  # noqa: PLC0415

    secret = secrets.token_urlsafe(32)
    print_line(f"token:        {secret}")
    print_line(f"token_sha256: {hashlib.sha256(secret.encode()).hexdigest()}")
    return OK
