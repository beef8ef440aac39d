"""A certificate of our own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .process import program


def certify(folder: Path) -> None:
    """``cert.pem`` and ``key.pem`` for 127.0.0.1, signed by itself."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
