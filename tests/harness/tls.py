"""Creates certificates for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .process import program

_NAME = "subjectAltName=IP:127.0.0.1,DNS:localhost"


def certify(folder: Path) -> None:
    """Create a self-signed ``cert.pem`` and ``key.pem`` for 127.0.0.1."""
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    _openssl("req", "-x509", *_NEW_KEY, "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", _NAME, *files)


def certify_client(folder: Path, name: str, days: int = 1) -> None:
    """Create ``NAME.pem`` and ``NAME.key`` for a client, signed by ``ca.pem``, which is created if needed.

    Args:
        folder: folder of the files.
        name: the common name.
        days: days until it expires; below 1: it has expired.
    """
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    if not ca.exists():
        files = ["-keyout", str(ca_key), "-out", str(ca)]
        _openssl("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=a test's CA", *files)
    request, key = folder / f"{name}.csr", folder / f"{name}.key"
    _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
    signed = ["-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial", "-out", str(folder / f"{name}.pem")]
    _openssl("x509", "-req", "-in", str(request), "-days", str(days), *signed)


# Generating an RSA key takes a hundred times as long.
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run([program("openssl"), *arguments], check=True, capture_output=True)
