"""The credentials: tokens, passwords and certificates, and whose they are.

Tokens and passwords are compared by their digests, in constant time, each with all. A password that was
right is remembered by a keyed digest: bcrypt is slow by design.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sidecar.config import LEAST_TOKEN_LENGTH, CredentialConfig

from .files import Stamp, stamp_of
from .values import Identity, Role

logger = logging.getLogger(__name__)

_MAX_REMEMBERED = 1_000
_MAX_PASSWORD_BYTES = 72  # bcrypt reads no further


class CredentialsError(ValueError):
    """A credential that cannot be used; the message names it, not its secret."""


class Keyring:
    """All credentials.

    Args:
        credentials: the config's.
        environ: has the variables that they name.

    Raises:
        CredentialsError: a token cannot be read, is too short, or is another's too.
    """

    def __init__(self, credentials: Sequence[CredentialConfig], environ: Mapping[str, str]) -> None:
        self._credentials = tuple(credentials)
        self._environ = environ
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, Identity] = {}
        self._identities = {
            one.name: Identity(one.name, frozenset(map(Role, one.roles)), one.scope) for one in credentials
        }
        self._passwords = {one.username: one for one in credentials if one.username}
        self._certificates = {
            one.certificate: self._identities[one.name] for one in credentials if one.certificate
        }
        # Costs an unknown user's password what a known one's does.
        self._nobodys = _hashed(b"nobody") if self._passwords else b""
        self._stamps = self._look()
        self._tokens = self._read()
        self._unreadable = False

    @property
    def is_empty(self) -> bool:
        """Whether there are no credentials at all."""
        return not self._credentials

    # -- who is it --------------------------------------------------------------------------------

    def identify_fast(self, authorization: bytes | None) -> Identity | None:
        """Whose the value of an ``Authorization`` header is, if that is told without bcrypt."""
        if not authorization:
            return None
        kind, _, secret = authorization.strip().partition(b" ")
        kind = kind.lower()
        if kind == b"bearer":
            digest = hashlib.sha256(secret.strip()).digest()
            found = None
            for known, identity in self._tokens:
                if hmac.compare_digest(known, digest):
                    found = identity
            return found
        if kind == b"basic":
            return self._right.get(self._digest(secret))
        return None

    def identify(self, authorization: bytes | None) -> Identity | None:
        """The same, with bcrypt: to be called in a thread."""
        found = self.identify_fast(authorization)
        user_password = self._basic(authorization)
        if found is not None or user_password is None:
            return found
        user, password = user_password
        credential = self._passwords.get(user)
        hashed = credential.password_bcrypt.encode() if credential else self._nobodys
        right = len(password) <= _MAX_PASSWORD_BYTES and _is_password(password, hashed)
        if credential is None or not right:
            return None
        if len(self._right) >= _MAX_REMEMBERED:
            self._right.clear()
        secret = (authorization or b"").strip().partition(b" ")[2]
        identity = self._identities[credential.name]
        self._right[self._digest(secret)] = identity
        return identity

    def needs_time(self, authorization: bytes | None) -> bool:
        """Whether only `identify` can tell."""
        return self._basic(authorization) is not None and self.identify_fast(authorization) is None

    def by_certificate(self, names: Iterable[str]) -> Identity | None:
        """Whose a checked certificate with these names is."""
        for name in names:
            if name in self._certificates:
                return self._certificates[name]
        return None

    def _basic(self, authorization: bytes | None) -> tuple[str, bytes] | None:
        kind, _, secret = (authorization or b"").strip().partition(b" ")
        if kind.lower() != b"basic" or not self._passwords:
            return None
        try:
            user, colon, password = base64.b64decode(secret.strip(), validate=True).partition(b":")
            return (user.decode(), password) if colon and b"\0" not in password else None
        except (binascii.Error, ValueError):
            return None

    def _digest(self, secret: bytes) -> bytes:
        return hmac.digest(self._key, secret.strip(), "sha256")

    # -- tokens -----------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read token files that changed; whether any token did. What cannot be read stays as it was."""
        stamps = self._look()
        if stamps == self._stamps:
            return False
        try:
            tokens = self._read()
        except CredentialsError as error:
            if not self._unreadable:
                logger.error("credentials_unreadable", extra={"fields": {"error": str(error)}})
            self._unreadable = True
            return False
        self._unreadable = False
        self._stamps = stamps
        changed = tokens != self._tokens
        self._tokens = tokens
        if changed:
            logger.info("credentials_reloaded")
        return changed

    def _look(self) -> Stamp:
        return stamp_of(one.token_file for one in self._credentials if one.token_file)

    def _read(self) -> tuple[tuple[bytes, Identity], ...]:
        tokens: dict[bytes, str] = {}
        for one in self._credentials:
            digest = self._token_of(one)
            if digest is None:
                continue
            if digest in tokens:
                raise CredentialsError(f"auth: {one.name} and {tokens[digest]} have the same token")
            tokens[digest] = one.name
        return tuple((digest, self._identities[name]) for digest, name in tokens.items())

    def _token_of(self, one: CredentialConfig) -> bytes | None:
        if one.token_sha256:
            return bytes.fromhex(one.token_sha256)
        if one.token_file:
            try:
                token = Path(one.token_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "is not text"
                raise CredentialsError(f"auth: {one.name}: token_file {one.token_file}: {why}") from None
        elif one.token_env:
            token = self._environ.get(one.token_env, "").strip()
        else:
            return None
        if len(token) < LEAST_TOKEN_LENGTH:
            where = one.token_file or f"${one.token_env}"
            raise CredentialsError(
                f"auth: {one.name}: the token in {where} is shorter than {LEAST_TOKEN_LENGTH} characters: "
                "`wellbeing-sidecar token` makes a good one"
            )
        return hashlib.sha256(token.encode()).digest()


# Who has no passwords starts without bcrypt.


def _hashed(password: bytes) -> bytes:
    import bcrypt  # noqa: PLC0415

    return bcrypt.hashpw(password, bcrypt.gensalt(10))


def _is_password(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415

    return bcrypt.checkpw(password, hashed)
