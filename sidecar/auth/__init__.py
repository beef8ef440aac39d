"""Credentials, identities and roles. Knows HTTP's ``Authorization`` header and nothing else of the web."""

from .files import Stamp, stamp_of
from .keyring import CredentialsError, Keyring
from .values import EVERYTHING, NOBODY, Identity, Role

__all__ = ["EVERYTHING", "NOBODY", "CredentialsError", "Identity", "Keyring", "Role", "Stamp", "stamp_of"]
