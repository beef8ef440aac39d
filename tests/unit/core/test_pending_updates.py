"""The updates of one command are released while it finishes."""

from __future__ import annotations

import gc

import pytest

from sidecar.core.commands import AlertFired, AlertOutcome, ReceiveAlerts
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope_update import ScopeUpdate
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import ScopeRecord


def test_the_update_of_a_scope_is_released_before_the_next_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    many = 100
    alive: list[int] = []
    finish = ScopeUpdate.finish

    def counting(update: ScopeUpdate) -> ScopeRecord:
        alive.append(sum(isinstance(one, ScopeUpdate) for one in gc.get_objects()))
        return finish(update)

    monkeypatch.setattr(ScopeUpdate, "finish", counting)
    alerts = tuple(
        AlertFired(f"alert:{number}", f"s/{number}", WellbeingState.DISTRESSED, "why", 1.0, 9.0)
        for number in range(many)
    )
    transaction = Transaction(CoreState(PolicyTable(Policy(pause_on_distressed=True))))
    outcome = transaction.apply_command(ReceiveAlerts(alerts), 2.0)
    assert outcome.alerts == (AlertOutcome.APPLIED,) * many
    # One for the update that was finished last.
    assert [count <= left + 1 for left, count in zip(range(many, 0, -1), alive, strict=True)] == [True] * many
    assert alive[-1] < alive[0] - many // 2
