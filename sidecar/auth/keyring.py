"""The credentials: tokens, passwords and certificates, and their identities.

A token is compared with all tokens, by digests and in constant time. bcrypt is slow by design, so a correct
password is cached by a keyed digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sidecar.config import MIN_TOKEN_LENGTH, CredentialConfig

from .files import stamp_of
from .values import Identity, Role

logger = logging.getLogger(__name__)

GRACE_SECS = 5.0
"""A token stays valid for this time if its file is missing: files are not always replaced atomically."""
_MAX_REMEMBERED = 1_000
_MAX_PASSWORD_BYTES = 72  # bcrypt ignores further bytes
_COST = slice(4, 6)  # of a bcrypt hash: $2b$COST$, the salt, the checksum
_CHECKSUM_LENGTH = 31


class CredentialsError(ValueError):
    """A credential that cannot be used; the message has its name, not its secret."""


class Keyring:
    """All credentials of the config.

    Args:
        credentials: the credentials of the config.
        environ: the environment variables that the credentials name.
        previous: the keyring that this one replaces. Passwords that it checked need not be checked again.

    Raises:
        CredentialsError: a token cannot be read, is too short, or is the same as another token.
    """

    def __init__(
        self,
        credentials: Sequence[CredentialConfig],
        environ: Mapping[str, str],
        previous: Keyring | None = None,
    ) -> None:
        self._credentials = tuple(credentials)
        self._environ = environ
        self._identities = {
            one.name: Identity(one.name, frozenset(map(Role, one.roles)), one.scope) for one in credentials
        }
        self._passwords = {
            one.username: (one, replace(self._identities[one.name], secret_digest=_password_digest(one)))
            for one in credentials
            if one.username
        }
        self._certificates = {
            one.certificate: self._identities[one.name] for one in credentials if one.certificate
        }
        # An unknown user's password takes as long to check as a known user's.
        self._dummy_hash = _dummy_hash([one.password_bcrypt for one in credentials if one.password_bcrypt])
        self._stamps = self._stamp()
        self._digests: dict[str, bytes] = {}
        for one in self._credentials:
            digest = self._token_of(one)
            if digest is not None:
                self._add(self._digests, one.name, digest)
        self._unusable: dict[str, float] = {}
        self._index()
        self._key = secrets.token_bytes(32)
        self._checked: dict[bytes, Identity] = {}
        if previous is not None:
            self._take_over(previous)

    @property
    def is_empty(self) -> bool:
        """Whether there are no credentials at all."""
        return not self._credentials

    # -- identities -------------------------------------------------------------------------------

    def identify_fast(self, authorization: bytes | None) -> Identity | None:
        """The identity of an ``Authorization`` header; None: unknown, or only `identify` can decide."""
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
            return self._checked.get(self._digest(secret))
        return None

    def identify(self, authorization: bytes | None) -> Identity | None:
        """The identity of an ``Authorization`` header. Checks passwords with bcrypt: call it in a thread."""
        found = self.identify_fast(authorization)
        user_password = self._basic(authorization)
        if found is not None or user_password is None:
            return found
        user, password = user_password
        credential, identity = self._passwords.get(user, (None, None))
        hashed = credential.password_bcrypt.encode() if credential else self._dummy_hash
        is_right = len(password) <= _MAX_PASSWORD_BYTES and _is_password(password, hashed)
        if identity is None or not is_right:
            return None
        if len(self._checked) >= _MAX_REMEMBERED:
            self._checked.clear()
        secret = (authorization or b"").strip().partition(b" ")[2]
        self._checked[self._digest(secret)] = identity
        return identity

    @property
    def has_passwords(self) -> bool:
        """Whether a client may authenticate with a user and a password."""
        return bool(self._passwords)

    def needs_bcrypt(self, authorization: bytes | None) -> bool:
        """Whether only `identify` can decide."""
        return self._basic(authorization) is not None and self.identify_fast(authorization) is None

    def by_certificate(self, names: Iterable[str]) -> Identity | None:
        """The identity of a verified certificate with these names."""
        for name in names:
            if name in self._certificates:
                return self._certificates[name]
        return None

    def current(self, identity: Identity) -> Identity | None:
        """The current identity of a client that was ``identity`` before; None: its secret is no longer valid.

        Args:
            identity: from this keyring or an earlier one, by a token or a password.
        """
        return self._by_secret_digest.get((identity.name, identity.secret_digest))

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

    def _take_over(self, previous: Keyring) -> None:
        """Take over the cached passwords of ``previous`` whose credentials did not change."""
        self._key = previous._key
        for digest, identity in previous._checked.items():
            current = self.current(identity)
            if current is not None:
                self._checked[digest] = current

    # -- token files ------------------------------------------------------------------------------

    def refresh(self, now: float) -> bool:
        """Read token files that changed. Returns whether a token changed or became invalid.

        A token whose file cannot be used stays valid for `GRACE_SECS`, and is then invalid until the file can
        be used again. Other credentials are not affected.

        Args:
            now: monotonic time in seconds.
        """
        stamps = self._stamp()
        if stamps == self._stamps and not self._unusable:
            return False
        self._stamps = stamps
        digests: dict[str, bytes] = {}
        for name, token in sorted(self._read().items(), key=self._is_new):
            try:
                if isinstance(token, CredentialsError):
                    raise token
                self._add(digests, name, token)
                self._unusable.pop(name, None)
            except CredentialsError as error:
                self._keep_for_now(digests, name, now, error)
        changed = digests != self._digests
        self._digests = digests
        if changed:
            self._index()
            logger.info("credentials_reloaded")
        return changed

    def _read(self) -> dict[str, bytes | CredentialsError]:
        """By the name of each credential: the digest of its token, or why the token cannot be used."""
        found: dict[str, bytes | CredentialsError] = {}
        for one in self._credentials:
            try:
                digest = self._token_of(one)
            except CredentialsError as error:
                found[one.name] = error
            else:
                if digest is not None:
                    found[one.name] = digest
        return found

    def _is_new(self, item: tuple[str, bytes | CredentialsError]) -> bool:
        # Unchanged tokens come first, so that no other credential can take one of them.
        return self._digests.get(item[0]) != item[1]

    def _keep_for_now(
        self, digests: dict[str, bytes], name: str, now: float, error: CredentialsError
    ) -> None:
        fields = {"error": str(error), "credential": name}
        if name not in self._unusable:
            self._unusable[name] = now
            logger.error("credentials_unreadable", extra={"fields": {**fields, "valid_secs": GRACE_SECS}})
        digest = self._digests.get(name)
        if digest is None:
            return
        if now - self._unusable[name] < GRACE_SECS and digest not in digests.values():
            digests[name] = digest
        else:
            logger.error("credential_revoked", extra={"fields": fields})

    def _index(self) -> None:
        """Build the tables for the lookup of requests."""
        self._tokens = tuple(
            (digest, replace(self._identities[name], secret_digest=digest))
            for name, digest in self._digests.items()
        )
        known = [identity for _, identity in self._tokens]
        known += [identity for _, identity in self._passwords.values()]
        self._by_secret_digest = {(identity.name, identity.secret_digest): identity for identity in known}

    def _stamp(self) -> tuple[object, ...]:
        return stamp_of(one.token_file for one in self._credentials if one.token_file)

    @staticmethod
    def _add(digests: dict[str, bytes], name: str, digest: bytes) -> None:
        for other, known in digests.items():
            if known == digest:
                raise CredentialsError(f"auth: {name} and {other} have the same token")
        digests[name] = digest

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
        if len(token) < MIN_TOKEN_LENGTH:
            where = one.token_file or f"${one.token_env}"
            raise CredentialsError(
                f"auth: {one.name}: the token in {where} is shorter than {MIN_TOKEN_LENGTH} characters: "
                "`wellbeing-sidecar token` makes one"
            )
        return hashlib.sha256(token.encode()).digest()


def _password_digest(credential: CredentialConfig) -> bytes:
    return hashlib.sha256(f"{credential.username}:{credential.password_bcrypt}".encode()).digest()


def _dummy_hash(hashes: Sequence[str]) -> bytes:
    """A hash of no password, as slow to check as the slowest of ``hashes``; empty: there are none."""
    slowest = max(hashes, key=lambda one: one[_COST], default="")
    return (slowest[:-_CHECKSUM_LENGTH] + "." * _CHECKSUM_LENGTH).encode() if slowest else b""


# bcrypt is loaded only where passwords are configured.


def _is_password(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415

    return bcrypt.checkpw(password, hashed)
