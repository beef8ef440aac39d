"""TLS: one context for all listeners that speak it, with certificates that may change."""

from __future__ import annotations

import logging
import ssl
from typing import Any

from sidecar.auth import Stamp, stamp_of
from sidecar.config import TlsConfig

logger = logging.getLogger(__name__)

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsError(Exception):
    """Certificates that cannot be used."""


class Tls:
    """The context, and the files that it is made of.

    Args:
        config: which files.

    Raises:
        TlsError: they cannot be used.
    """

    def __init__(self, config: TlsConfig) -> None:
        self.config = config
        self._stamp = _stamp(config)
        self._told = False
        self.context = _context(config)

    def refresh(self) -> None:
        """Load files that changed, for connections to come; what cannot be used changes nothing."""
        stamp = _stamp(self.config)
        if stamp == self._stamp:
            return
        try:
            # A key that does not fit would spoil the context in use.
            _context(self.config)
            _load(self.context, self.config)
        except TlsError as error:
            if not self._told:
                logger.error("certificate_unusable", extra={"fields": {"error": str(error)}})
            self._told = True
            return
        self._stamp, self._told = stamp, False
        logger.info("certificate_reloaded", extra={"fields": {"file": self.config.cert_file}})


def _context(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
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
    raise ValueError("the key is encrypted: give it without a password")


def _stamp(config: TlsConfig) -> Stamp:
    return stamp_of((config.cert_file, config.key_file, config.client_ca_file))


def names_of(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """The common name and the alternative names of a checked certificate, as `ssl` shows it."""
    if not certificate:
        return ()
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return (*subject, *(value for _, value in certificate.get("subjectAltName", ())))
