"""A refused command changes nothing of its transaction."""

from __future__ import annotations

import pytest

from sidecar.core.commands import (
    AlertFired,
    ClaimState,
    Pause,
    ReceiveAlerts,
    ReconcileAlerts,
    Resume,
    RevertResolves,
    SetPolicies,
)
from sidecar.core.errors import TooManyScopes, TooManySignals
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import Signal

NOW = 1000.0
MOODY = WellbeingState.DISTRESSED


def fired(source: str, scope: str, starts_at: float = 900.0) -> AlertFired:
    return AlertFired(f"alert:{source}", scope, MOODY, "why", starts_at, 5000.0)


def changes_of(transaction: Transaction) -> tuple[object, ...]:
    return (
        transaction.policies,
        dict(transaction.records),
        dict(transaction.tombstones),
        dict(transaction.scope_by_alert),
        set(transaction.rewritten),
        transaction.sweep_at,
        transaction.seen_watchdog,
        transaction._scope_count,
    )


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (SetPolicies(PolicyTable(Policy(enabled=False), (("x", Policy()), ("y", Policy())))), TooManyScopes),
        (Pause("x", "why", "me", None), TooManyScopes),
        (Resume("x", "me", "why"), TooManyScopes),
        (ClaimState("x", "agent:me", MOODY, "why", None), TooManyScopes),
        (ClaimState("a", "agent:me", MOODY, "why", None), TooManySignals),
        (ReceiveAlerts((fired("1", ""), fired("2", "x"))), TooManyScopes),
        (ReceiveAlerts((fired("1", ""), fired("3", "a"))), TooManySignals),
        (ReconcileAlerts((fired("1", ""), fired("2", "x")), (), NOW), TooManyScopes),
        (
            RevertResolves(
                (("", Signal("alert:1", MOODY, "why", 1.0)), ("x", Signal("alert:2", MOODY, "why", 1.0)))
            ),
            TooManyScopes,
        ),
    ],
)
def test_a_refused_command_leaves_the_transaction_as_it_was(refused, error) -> None:
    core_state = CoreState(PolicyTable(), max_scopes=2, max_signals=1)
    transaction = Transaction(core_state)
    transaction.apply_command(ReceiveAlerts((fired("0", "a"),)), NOW)
    before = changes_of(transaction)
    with pytest.raises(error):
        transaction.apply_command(refused, NOW)
    assert changes_of(transaction) == before


def test_an_alert_that_is_listed_twice_counts_once_towards_the_limit() -> None:
    transaction = Transaction(CoreState(PolicyTable(), max_signals=2))
    twice = (fired("1", "a"), fired("2", "a"), fired("1", "a", 950.0), fired("2", "a"))
    transaction.apply_command(ReceiveAlerts(twice), NOW)
    assert set(transaction.record("a").signals) == {"alert:1", "alert:2"}
    with pytest.raises(TooManySignals):
        transaction.apply_command(ReceiveAlerts((*twice, fired("3", "a"))), NOW)
