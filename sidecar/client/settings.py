"""Where the sidecar is and what to do without it: by argument, or by environment variable.

========================================  ==========================================================
variable                                  what
========================================  ==========================================================
``WELLBEING_URL``                         ``http://HOST:PORT``, ``https://…`` or ``unix:/path``
``WELLBEING_SCOPE``                       the scope; may be the root
``WELLBEING_TOKEN``                       a token
``WELLBEING_TOKEN_FILE``                  the file with the token, read anew for every request
``WELLBEING_CLIENT_CA_FILE``              whom to trust, in place of whom the system trusts
``WELLBEING_CLIENT_UNREACHABLE``          ``open`` or ``closed``: without a sidecar, when the last known
                                          answer is too old
``WELLBEING_CLIENT_STALE_AFTER_SECS``     how old it may get
``WELLBEING_CLIENT_WAIT_SECS``            how long a request waits at most
``WELLBEING_CLIENT_MAX_WAITING``          how many wait in this process at most
``WELLBEING_CLIENT_REPORT_SECS``          how often counts are reported; 0: never
========================================  ==========================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

PREFIX = "WELLBEING_CLIENT_"
_OWN_NAMES = {
    "url": "WELLBEING_URL",
    "scope": "WELLBEING_SCOPE",
    "token": "WELLBEING_TOKEN",
    "token_file": "WELLBEING_TOKEN_FILE",
}
_LEAST = {"stale_after_secs": 0.1, "wait_secs": 0, "report_secs": 0, "max_waiting": 1}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a worker deals with its sidecar.

    Attributes:
        url: ``http://HOST:PORT``, ``https://…`` or ``unix:/path``.
        scope: whose gate.
        token: sent as bearer token.
        token_file: a file with it, read anew for every request; a mounted Secret changes.
        ca_file: whom to trust; None: whom the system trusts.
        cert_file: the client's own certificate with its key.
        unreachable: ``open`` or ``closed``: what counts when the last known answer is too old.
        stale_after_secs: how old it may get.
        wait_secs: how long a request waits at most, unless it says otherwise.
        max_waiting: how many wait in this process at most.
        report_secs: how often counts are reported; 0: never.

    Raises:
        ValueError: one cannot be; the message names it.
    """

    url: str = "http://127.0.0.1:9477"
    scope: str = ""
    token: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    unreachable: str = "open"
    stale_after_secs: float = 60.0
    wait_secs: float = 60.0
    max_waiting: int = 10_000
    report_secs: float = 10.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://", "unix:/")):
            raise ValueError(f"url: must be http://…, https://… or unix:/path, got {self.url!r}")
        if self.unreachable not in ("open", "closed"):
            raise ValueError(f"unreachable: must be open or closed, got {self.unreachable!r}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not least <= value <= 1e9:  # noqa: PLR2004 - 30 years
                raise ValueError(f"{name}: must be a number of at least {least}, got {value!r}")

    @classmethod
    def of(cls, given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
        """What is ``given`` and not None, else what the environment says, else the defaults.

        Raises:
            ValueError: a variable or an argument cannot be.
        """
        values = _variables(os.environ if environ is None else environ)
        values |= {name: value for name, value in given.items() if value is not None}
        return cls(**values)


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Settings):
        variable = _OWN_NAMES.get(field.name, PREFIX + field.name.upper())
        text = environ.get(variable)
        if text is None or (text == "" and field.name != "scope"):
            continue
        try:
            found[field.name] = float(text) if field.name in _LEAST else text
        except ValueError:
            raise ValueError(f"{variable}: must be a number, got {text!r}") from None
    return found
