"""Notifications lead to the same state in any order and with any repetition."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.core.commands import AlertFired, AlertResolved, ReceiveAlerts
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction

NOW = 10_000.0


@st.composite
def histories(draw) -> list[ReceiveAlerts]:
    """Alerts that fire and resolve in turn, and the notifications that Alertmanager would send."""
    alerts: list[AlertFired | AlertResolved] = []
    for number in range(draw(st.integers(1, 4))):
        source = f"alert:{number}"
        scope = draw(st.sampled_from(["", "a", "a/b"]))
        state = WellbeingState(draw(st.integers(1, 3)))
        at = 0.0
        for _ in range(draw(st.integers(1, 3))):
            at += draw(st.integers(1, 50))
            alerts.append(AlertFired(source, scope, state, f"since {at}", at, NOW + 500))
            if draw(st.booleans()):
                at += draw(st.integers(1, 50))
                alerts.append(AlertResolved(source, at, NOW + 1e6))
    notifications = [ReceiveAlerts((alert,)) for alert in alerts]
    groups = draw(st.lists(st.lists(st.sampled_from(alerts), min_size=1, max_size=5), max_size=3))
    return notifications + [ReceiveAlerts(tuple(group)) for group in groups]


def final_state(notifications: list[ReceiveAlerts]):
    core_state = CoreState(PolicyTable(Policy(pause_on_distressed=True)))
    for notification in notifications:
        transaction = Transaction(core_state)
        transaction.apply_command(notification, NOW)
        core_state.apply(transaction)
    return {
        scope: (
            record.state,
            record.hold is not None,
            {source: (signal.state, signal.since) for source, signal in record.signals.items()},
        )
        for scope, record in core_state.records.items()
        if record.signals
    }, {source: one.ended_at for source, one in core_state.tombstones.items()}


@settings(max_examples=examples(80))
@given(st.data(), histories())
def test_the_order_and_repetition_of_notifications_make_no_difference(data, history) -> None:
    shuffled = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=6))))
    assert final_state(shuffled) == final_state(history)
