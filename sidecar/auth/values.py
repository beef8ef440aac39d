"""Roles and identities."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sidecar.core.scope import ROOT, lies_within


class Role(StrEnum):
    """What a client may do."""

    WORKER = "worker"
    AGENT = "agent"
    WEBHOOK = "webhook"
    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Identity:
    """A client, and what it may do.

    Attributes:
        name: name of the credential; empty: the client sent none.
        roles: what the client may do.
        scope: the roles apply to this scope and the scopes inside it.
        secret_digest: digest of the secret that was sent; empty: a certificate, or no credential.
    """

    name: str
    roles: frozenset[Role]
    scope: str = ROOT
    secret_digest: bytes = field(default=b"", repr=False)

    def may(self, role: Role, scope: str | None) -> bool:
        """Whether the client may do what ``role`` allows in ``scope``; None: in any scope at all."""
        return role in self.roles and (scope is None or lies_within(scope, self.scope))


ANONYMOUS = Identity("", frozenset())
UNRESTRICTED = Identity("", frozenset(Role))
"""The identity of every client if no credentials are configured."""
