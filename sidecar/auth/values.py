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
        name: of the credential; empty: the client showed none.
        roles: what it may do.
        scope: where it may do that: in this scope and below.
        proof: a digest of the secret that was shown; empty: a certificate, or nothing.
    """

    name: str
    roles: frozenset[Role]
    scope: str = ROOT
    proof: bytes = field(default=b"", repr=False)

    def may(self, role: Role, scope: str | None) -> bool:
        """Whether it may do what ``role`` allows in ``scope``; None: in some scope."""
        return role in self.roles and (scope is None or lies_within(scope, self.scope))


NOBODY = Identity("", frozenset())
EVERYTHING = Identity("", frozenset(Role))
"""Every client, where no credentials are configured."""
