"""The client's settings, from arguments or environment variables.

========================================  ==========================================================
variable                                  what
========================================  ==========================================================
``WELLBEING_URL``                         ``http://HOST:PORT``, ``https://…`` or ``unix:/path``
``WELLBEING_SCOPE``                       the scope; empty: the root
``WELLBEING_TOKEN``                       a bearer token
``WELLBEING_TOKEN_FILE``                  the file with the token, read again for each request
``WELLBEING_CLIENT_CA_FILE``              CA bundle (default: the system's trust store)
``WELLBEING_CLIENT_CERT_FILE``            client certificate and key (PEM)
``WELLBEING_CLIENT_UNREACHABLE``          ``open`` or ``closed``: without a sidecar, when the last known
                                          state is too old
``WELLBEING_CLIENT_STALE_AFTER_SECS``     how old the last known state may get
``WELLBEING_CLIENT_WAIT_SECS``            how long a request waits at most
``WELLBEING_CLIENT_MAX_WAITING``          how many requests wait in this process at most
``WELLBEING_CLIENT_REPORT_SECS``          how often counts are reported; 0: never
========================================  ==========================================================

The middleware reads a few more: see `sidecar.client.routing`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from .access import check_access
from .endpoint import parse_endpoint

PREFIX = "WELLBEING_CLIENT_"
MIDDLEWARE_SETTINGS = (
    "hold_paths", "pass_paths", "paths", "scope_header", "scope_from_model", "max_scopes", "show_reason",
    "priority_header",
)  # fmt: skip
"""Settings of the middleware only: keyword arguments, and suffixes of variables."""

_SHARED_PREFIX = "WELLBEING_"
_OWN_NAMES = {
    "url": "WELLBEING_URL",
    "scope": "WELLBEING_SCOPE",
    "token": "WELLBEING_TOKEN",
    "token_file": "WELLBEING_TOKEN_FILE",
}
_LEAST = {"stale_after_secs": 0.1, "wait_secs": 0, "report_secs": 0, "max_waiting": 1}
_NEAR = 0.75
# Kubernetes sets these for a Service named `wellbeing-client`.
_SERVICE_LINKS = ("SERVICE_HOST", "SERVICE_PORT", "PORT")

_warned: dict[str, None] = {}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a client.

    Attributes:
        url: ``http://HOST:PORT``, ``https://…`` or ``unix:/path``.
        scope: the scope of the gate.
        token: sent as bearer token.
        token_file: a file with the token, read again for each request, because a mounted Secret may change.
        ca_file: CA bundle (PEM); None: the system's trust store.
        cert_file: client certificate and key (PEM).
        unreachable: ``open`` or ``closed``: the state of the gate when the last known state is too old.
        stale_after_secs: the maximum age of the last known state.
        wait_secs: how long a request waits at most, unless the call gives a timeout.
        max_waiting: how many requests wait in this process at most.
        report_secs: how often counts are reported; 0: never.

    Raises:
        ValueError: a value is not allowed; the message names it.
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
        check_access(self)
        if self.unreachable not in ("open", "closed"):
            raise ValueError(f"unreachable: must be open or closed, got {self.unreachable!r}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not least <= value <= 1e9:  # noqa: PLR2004 - 30 years
                raise ValueError(f"{name}: must be a number of at least {least}, got {value!r}")

    @property
    def shown_url(self) -> str:
        """The URL without user and password, for logs."""
        return str(parse_endpoint(self.url))

    @classmethod
    def of(cls, given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from ``given`` (except None), then the environment, then the defaults.

        Variables that look like misspelt client variables are logged.

        Args:
            given: keyword arguments.
            environ: None: `os.environ`.

        Raises:
            TypeError: there is no such setting.
            ValueError: a variable or an argument is not allowed.
        """
        names = [field.name for field in fields(cls)]
        reject_unknown(given, names)
        environ = os.environ if environ is None else environ
        warn_about_misspelt_variables(environ)
        from_environment = _variables(environ)
        arguments = {name: value for name, value in given.items() if value is not None}
        try:
            return cls(**{**from_environment, **arguments})
        except ValueError as error:
            name, _, rest = str(error).partition(":")
            if name in from_environment and name not in arguments:
                raise ValueError(f"{variable_of(name)}:{rest}") from None
            raise


def variable_of(setting: str) -> str:
    """The environment variable of a setting."""
    return _OWN_NAMES.get(setting, PREFIX + setting.upper())


def reject_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Check that each keyword argument is known.

    Raises:
        TypeError: one is unknown. The message suggests a similar name.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise TypeError(f"no such setting: {name}{_hint(name, known)}")


def warn_about_misspelt_variables(environ: Mapping[str, str]) -> None:
    """Log each variable that looks like a misspelt one of the client."""
    import logging  # noqa: PLC0415 - the command line starts faster without

    for message in misspelt_variables(environ):
        logging.getLogger("wellbeing.client").warning("%s", message)


def misspelt_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """A message for each variable that looks like a misspelt one of the client; once in a process."""
    own = {field.name for field in fields(Settings)} | set(MIDDLEWARE_SETTINGS)
    known = [variable_of(name) for name in own]
    for name in environ:
        if name in known or name in _warned or not name.startswith(_SHARED_PREFIX):
            continue
        near = _near_variable(name, known)
        if near is None:
            continue
        _warned[name] = None
        hint = f"; did you mean {near}?" if near else ""
        yield f"the environment variable {name} is not read by the wellbeing client{hint}"


def _near_variable(name: str, known: list[str]) -> str | None:
    """The variable that ``name`` may mean; empty: unknown; None: it is not a client variable."""
    if name.startswith(PREFIX):
        if name.removeprefix(PREFIX).startswith(_SERVICE_LINKS):
            return None
        return _nearest(name, known)
    # The sidecar uses this prefix too, so only names that resemble a client variable count.
    shared = [one.removeprefix(_SHARED_PREFIX) for one in _OWN_NAMES.values()]
    near = _nearest(name.removeprefix(_SHARED_PREFIX), shared, _NEAR)
    return _SHARED_PREFIX + near if near else None


def _nearest(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """The most similar of the ``known`` names to ``name``; empty: none is similar."""
    return next(iter(get_close_matches(name, list(known), 1, least)), "")


def _hint(name: str, known: Iterable[str]) -> str:
    near = _nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Settings):
        variable = variable_of(field.name)
        text = environ.get(variable)
        if text is None or (text == "" and field.name != "scope"):
            continue
        try:
            found[field.name] = _number(text) if field.name in _LEAST else text
        except ValueError:
            raise ValueError(f"{variable}: must be a number, got {text!r}") from None
    return found


def _number(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError(text)
    return number
