"""TLS: one context for all TLS listeners, with certificates that can be reloaded."""

from __future__ import annotations

import _ssl
import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from sidecar.auth import Stamp, stamp_of
from sidecar.config import TlsConfig

logger = logging.getLogger(__name__)

MAX_HANDSHAKES = 2_000
"""TLS handshakes in progress. More cannot be completed within ``limits.header_timeout_secs`` on one core."""
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsError(Exception):
    """Certificates that cannot be used."""


class ReloadableContext(ssl.SSLContext):
    """A server context that delegates new connections to `current`, which can be replaced.

    A new context does not trust the certificate authorities or sessions of the old one. Otherwise a client
    could resume an old session without showing its certificate again.

    Attributes:
        current: the context in use.
        handshakes: the connections whose handshake is in progress. Each takes up to 150 KB.
        on_refused: called when a connection is refused because there are too many of them.
    """

    current: _Context
    handshakes: WeakSet[ssl.SSLObject]
    on_refused: Callable[[], None]

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - as of ssl.SSLContext
        """Make a connection with the current context.

        Raises:
            ConnectionAbortedError: too many handshakes are in progress. The event loop closes the connection.
        """
        if len(self.handshakes) >= MAX_HANDSHAKES:
            self.on_refused()
            raise ConnectionAbortedError("too many TLS handshakes are in progress")
        made = self.current.wrap_bio(*args, **kwargs)
        self.handshakes.add(made)
        return made


class _Connection(ssl.SSLObject):
    """A connection that leaves `ReloadableContext.handshakes` when its handshake is done."""

    context: _Context

    def do_handshake(self) -> None:
        """Continue the handshake. Called again whenever bytes arrive, until it returns."""
        super().do_handshake()
        self.context.handshakes.discard(self)


class _Context(ssl.SSLContext):
    """A context that is used as `ReloadableContext.current`."""

    handshakes: WeakSet[ssl.SSLObject]
    sslobject_class = _Connection


class Tls:
    """The TLS context of all listeners, loaded from files that may change.

    Args:
        config: names the files.

    Attributes:
        context: the context for listeners.

    Raises:
        TlsError: the files cannot be used.
    """

    def __init__(self, config: TlsConfig) -> None:
        self.config = config
        self._stamp = _stamp(config)
        self._is_unusable = False
        self.context = ReloadableContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.handshakes = WeakSet()
        self.context.on_refused = lambda: None
        self.context.current = self._load()

    @property
    def authorities(self) -> frozenset[bytes]:
        """The trusted certificate authorities for client certificates, each in DER."""
        return frozenset(self.context.current.get_ca_certs(binary_form=True))

    def refresh(self) -> bool:
        """Reload changed files for new connections; return whether certificate authorities were removed.

        Files that cannot be used change nothing.
        """
        stamp = _stamp(self.config)
        if stamp == self._stamp:
            return False
        before = self.authorities
        try:
            self.context.current = self._load()
        except TlsError as error:
            if not self._is_unusable:
                logger.error("certificate_unusable", extra={"fields": {"error": str(error)}})
            self._is_unusable = True
            return False
        self._stamp, self._is_unusable = stamp, False
        removed = len(before - self.authorities)
        fields = {"file": self.config.cert_file, "removed_authorities": removed}
        logger.info("certificate_reloaded", extra={"fields": fields})
        return removed > 0

    def _load(self) -> _Context:
        context = _context(self.config)
        context.handshakes = self.context.handshakes
        return context


def _context(config: TlsConfig) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    if config.client_ca_file:
        insist = config.client_auth == "require"
        context.verify_mode = ssl.CERT_REQUIRED if insist else ssl.CERT_OPTIONAL
    _load(context, config)
    return context


def _load(context: ssl.SSLContext, config: TlsConfig) -> None:
    try:
        context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
        if config.client_ca_file:
            context.load_verify_locations(config.client_ca_file)
    except (OSError, ValueError) as error:
        files = ", ".join(filter(None, (config.cert_file, config.key_file, config.client_ca_file)))
        raise TlsError(f"tls: {files}: {error}") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted: remove its password")


def _stamp(config: TlsConfig) -> Stamp:
    return stamp_of((config.cert_file, config.key_file, config.client_ca_file))


def names_of(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """The common name and the alternative names of a verified certificate, in the form of `ssl`."""
    if not certificate:
        return ()
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return (*subject, *(value for _, value in certificate.get("subjectAltName", ())))


def certificate_authorities_of(transport: asyncio.BaseTransport) -> frozenset[bytes]:
    """The verified chain of the client's certificate, each in DER; empty: the client sent no certificate.

    A resumed session has no chain: the result is the client's certificate alone.
    """
    connection = transport.get_extra_info("ssl_object")
    certificate = connection.getpeercert(binary_form=True) if connection is not None else None
    if certificate is None:
        return frozenset()
    public = getattr(connection, "get_verified_chain", None)  # from Python 3.13 on
    if public is not None:
        return frozenset({certificate, *public()})
    chain = connection._sslobj.get_verified_chain() or ()  # noqa: SLF001 - the same, not public yet
    return frozenset({certificate, *(one.public_bytes(_ssl.ENCODING_DER) for one in chain)})
