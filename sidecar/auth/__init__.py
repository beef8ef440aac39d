"""Credentials, identities and roles. The ``Authorization`` header is the only part of HTTP that it uses."""

from .files import Stamp, stamp_of
from .keyring import CredentialsError, Keyring
from .values import ANONYMOUS, UNRESTRICTED, Identity, Role

__all__ = [
    "ANONYMOUS",
    "UNRESTRICTED",
    "CredentialsError",
    "Identity",
    "Keyring",
    "Role",
    "Stamp",
    "stamp_of",
]
