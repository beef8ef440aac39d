"""The config's values about listeners, credentials and TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

MIN_TOKEN_LENGTH = 16
"""Minimum number of characters of a bearer token."""

ROLES = ("worker", "agent", "webhook", "viewer", "operator")


@dataclass(frozen=True, slots=True)
class Listener:
    """An address on which the sidecar listens.

    Attributes:
        address: ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``.
        roles: roles of clients without a credential; None: all roles if no credentials are configured, else
            none.
        tls: whether TLS is used; None: yes if it is configured, except on a Unix socket.
        mode: file mode of a Unix socket.
    """

    address: str
    roles: tuple[str, ...] | None = None
    tls: bool | None = None
    mode: int = 0o660

    @property
    def is_unix(self) -> bool:
        """Whether the address is a Unix socket."""
        return self.address.startswith("unix:")

    @property
    def is_local(self) -> bool:
        """Whether only this machine, or pod, can reach the address."""
        if self.is_unix:
            return True
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            # A name such as 127.example.com may be any machine.
            return host == "localhost" or _is_loopback(host)
        except ValueError:
            return False


def _is_loopback(host: str) -> bool:
    address = ip_address(host)
    # ::ffff:127.0.0.1 is 127.0.0.1, which Python 3.12 and earlier do not say.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@dataclass(frozen=True, slots=True)
class CredentialConfig:
    """A credential: a token, a password or a certificate, and what its owner may do.

    Attributes:
        name: the actor in log and history.
        roles: what the owner may do.
        scope: the roles apply to this scope and the scopes inside it.
        token_file: file with the bearer token; read again when it changes.
        token_env: environment variable with the bearer token.
        token_sha256: SHA-256 of the bearer token, in hex.
        username: user name for basic authentication.
        password_bcrypt: bcrypt hash of the password.
        certificate: common name or a subject alternative name of the client certificate.
    """

    name: str
    roles: tuple[str, ...]
    scope: str = ""
    token_file: str = ""
    token_env: str = ""
    token_sha256: str = ""
    username: str = ""
    password_bcrypt: str = field(default="", repr=False)
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Authentication and authorization.

    Attributes:
        insecure: allow requests from other machines without a credential.
        credentials: who may do what, and how they authenticate.
    """

    insecure: bool = False
    credentials: tuple[CredentialConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS settings of the listeners.

    Attributes:
        cert_file: certificate with its chain; read again when it changes.
        key_file: private key of the certificate.
        client_ca_file: CA bundle for client certificates; empty: no client certificates are requested.
        client_auth: ``request`` or ``require`` a client certificate.
        min_version: minimum TLS version, ``1.2`` or ``1.3``.
    """

    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth: str = "request"
    min_version: str = "1.2"
