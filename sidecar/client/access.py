"""The address of a sidecar, and the credentials for it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from .endpoint import parse_endpoint
from .scope_path import scope_error


class AccessSettings(Protocol):
    """The part of a client's settings that a connection needs. `Access` and `Settings` provide it."""

    @property
    def url(self) -> str:
        """``http://HOST:PORT``, ``https://…`` or ``unix:/path``."""

    @property
    def scope(self) -> str:
        """The scope of the requests."""

    @property
    def token(self) -> str | None:
        """Sent as bearer token."""

    @property
    def token_file(self) -> str | None:
        """A file with the token, read again for each request, because a mounted Secret may change."""

    @property
    def ca_file(self) -> str | None:
        """CA bundle (PEM); None: the system's trust store."""

    @property
    def cert_file(self) -> str | None:
        """Client certificate and key (PEM)."""


class Access(NamedTuple):
    """The settings of a connection, for programs that send single requests. `check_access` checks them."""

    url: str
    scope: str = ""
    token: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None


def check_access(access: AccessSettings) -> None:
    """Check the URL, the scope and the token.

    Raises:
        ValueError: one of them is not allowed; the message names it.
    """
    endpoint = parse_endpoint(access.url)
    if why := scope_error(access.scope):
        raise ValueError(f"scope: {why}")
    if access.token is not None:
        check_token(access.token, "token")
    if endpoint.basic_auth and (access.token or access.token_file):
        raise ValueError("url: has a user and a password, and a token is given too; give one of them")


def check_token(token: str, name: str) -> None:
    """Check that a token is valid in a header. The message does not contain it.

    Raises:
        ValueError: it is not valid.
    """
    if not isinstance(token, str) or not all("!" <= character <= "~" for character in token):
        raise ValueError(f"{name}: must be text without blanks, line breaks or characters outside of ASCII")
