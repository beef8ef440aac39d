"""Versions of the number of known and paused scopes inside a path, for policies with `max_paused_share`.

Under such a policy, a pause depends on the sibling scopes, even on those that this sidecar does not know yet.
Reading the version of each sibling would make commits as large as the number of siblings. So the path has its
own version, stored among the versions of the sources. Each commit that changes which scopes are known or
paused inside the path changes this version.

Without `max_paused_share` there are no such versions, and scopes never conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidecar.core.model import CoreState, StateDelta, is_paused_by_policy
from sidecar.core.scope import parent_of
from sidecar.core.values import ScopeRecord

_PREFIX = "inside:"


def inside_key(parent: str) -> str:
    """The name of the version of the path ``parent``. No source has this name."""
    return _PREFIX + parent


def changed_inside(
    state: CoreState,
    delta: StateDelta,
    records: Mapping[str, ScopeRecord | None],
    restored: Iterable[str],
) -> dict[str, bool]:
    """The keys of the paths inside which the known or paused scopes change, and whether any known scope
    remains.

    Args:
        state: the state that ``delta`` was made from.
        delta: what was decided.
        records: the records that are committed.
        restored: the records among them that the store has lost.
    """
    parents = {
        parent_of(scope)
        for scope, record in records.items()
        if scope and (scope in restored or _counts(state.records.get(scope)) != _counts(record))
    }
    policies = delta.policies
    return {
        inside_key(parent): delta.known_inside(parent) > 0
        for parent in parents
        if policies.policy_for(parent).max_paused_share
    }


def _counts(record: ScopeRecord | None) -> tuple[bool, bool]:
    return record is not None, is_paused_by_policy(record)
