"""Roles and identities."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sidecar.core.scope import ROOT, lies_within


class Role(StrEnum):
    """What one may do."""

    WORKER = "worker"
    AGENT = "agent"
    WEBHOOK = "webhook"
    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, and what they may do.

    Attributes:
        name: of the credential; empty: nobody had to say who they are.
        roles: what they may do.
        scope: where: in it and inside it.
    """

    name: str
    roles: frozenset[Role]
    scope: str = ROOT

    def may(self, role: Role, scope: str | None) -> bool:
        """Whether they may do what ``role`` stands for in ``scope``; None: in some scope."""
        return role in self.roles and (scope is None or lies_within(scope, self.scope))


NOBODY = Identity("", frozenset())
EVERYTHING = Identity("", frozenset(Role))
"""Whoever comes where there are no credentials."""
