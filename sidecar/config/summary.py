"""A short summary of the config, for the log."""

from __future__ import annotations

from sidecar.core.policy import Policy, PolicyTable

from .unused import unused_policies

_MOST_NAMED = 5


def describe_pausing(policies: PolicyTable) -> str:
    """Describe the scopes that policies may pause, as part of a sentence. Operators may always pause."""
    used = _used(policies)
    pausing = [match for match, policy in used if _pauses(policy)]
    sparing = [match for match, policy in used if not _pauses(policy)]
    if _pauses(policies.defaults):
        return "every scope" + (f" except {_named(sparing)}" if sparing else "")
    if pausing:
        return _named(pausing)
    wanting = [policy for policy in _all(policies) if policy.pause_on_distressed or policy.pause_on_concerned]
    if any(policy.enabled for policy in wanting):
        return "nothing: dry_run is true wherever pause_on_distressed is true"
    if wanting:
        return "nothing: enabled is false wherever pause_on_distressed is true"
    return "nothing: pause_on_distressed is false everywhere"


def describe_restricting(policies: PolicyTable) -> str:
    """Describe the scopes that policies may restrict, as part of a sentence; empty: none."""
    used = _used(policies)
    restricting = [match for match, policy in used if _restricts(policy)]
    if _restricts(policies.defaults):
        sparing = [match for match, policy in used if not _restricts(policy)]
        return "every scope" + (f" except {_named(sparing)}" if sparing else "")
    return _named(restricting)


def _restricts(policy: Policy) -> bool:
    return policy.enabled and not policy.dry_run and bool(policy.restrict)


def _pauses(policy: Policy) -> bool:
    return policy.pauses


def _used(policies: PolicyTable) -> list[tuple[str, Policy]]:
    """The policies that decide for a scope."""
    unused = dict(unused_policies(policies))
    return [one for index, one in enumerate(policies.rules) if index not in unused]


def _all(policies: PolicyTable) -> list[Policy]:
    return [policies.defaults, *(policy for _, policy in _used(policies))]


def _named(scopes: list[str]) -> str:
    names = ", ".join(scope or "(root)" for scope in scopes[:_MOST_NAMED])
    more = len(scopes) - _MOST_NAMED
    return f"{names} and {more} more policies" if more > 0 else names
