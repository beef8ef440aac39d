"""Credentials, identities and roles. Of HTTP it knows only the ``Authorization`` header."""

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
