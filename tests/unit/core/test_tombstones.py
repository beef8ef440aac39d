"""The number of tombstones is limited, and the oldest is removed first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.commands import (
    AlertFired,
    AlertOutcome,
    AlertResolved,
    Expire,
    ReceiveAlerts,
    ShiftTime,
)
from sidecar.core.model import CoreState
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import Tombstone

NOW = 1000.0


def resolved(name: object, *, keep_secs: float = 900.0, outcome_if_unknown=None) -> AlertResolved:
    return AlertResolved(f"alert:{name}", 20.0, NOW + keep_secs, outcome_if_unknown)


def fired(name: object) -> AlertFired:
    return AlertFired(f"alert:{name}", "a", WellbeingState.CAUTIOUS, "", 10.0, NOW + 500)


def apply(core_state: CoreState, *commands, now: float = NOW):
    transaction = Transaction(core_state)
    outcomes = [transaction.apply_command(command, now) for command in commands]
    core_state.apply(transaction)
    return outcomes


def test_the_oldest_tombstones_are_removed_first() -> None:
    core_state = CoreState(PolicyTable(), max_tombstones=10)
    for number in range(25):
        apply(core_state, ReceiveAlerts((resolved(number), resolved(f"{number}b"))))
        assert len(core_state.tombstones) <= 10
    assert [*core_state.tombstones] == [f"alert:{n}{suffix}" for n in range(20, 25) for suffix in ("", "b")]
    [outcome] = apply(core_state, ReceiveAlerts((fired(24), fired(3))))
    assert outcome.alerts == (AlertOutcome.STALE, AlertOutcome.APPLIED)


def test_one_notification_alone_may_not_exceed_the_limit() -> None:
    core_state = CoreState(PolicyTable(), max_tombstones=10)
    apply(core_state, ReceiveAlerts(tuple(resolved(number) for number in range(100))))
    assert [*core_state.tombstones] == [f"alert:{number}" for number in range(90, 100)]


def test_a_later_resolve_makes_the_tombstone_the_newest() -> None:
    core_state = CoreState(PolicyTable(), max_tombstones=3)
    for name in "abc":
        apply(core_state, ReceiveAlerts((resolved(name),)))
    apply(core_state, ReceiveAlerts((AlertResolved("alert:a", 30.0, NOW + 900),)))
    apply(core_state, ReceiveAlerts((resolved("d"),)))
    assert [*core_state.tombstones] == ["alert:c", "alert:a", "alert:d"]


def test_more_than_the_limit_from_a_store_of_an_older_version_is_reduced_step_by_step() -> None:
    stored = {f"alert:{n}": Tombstone(20.0, NOW + 900, float(-n)) for n in range(5_000)}
    core_state = CoreState(PolicyTable(), tombstones=stored, max_tombstones=10)
    now, sizes = NOW, []
    for _ in range(4):
        transaction = Transaction(core_state)
        transaction.apply_command(Expire(()), now)
        sizes.append(len(transaction.tombstones))
        core_state.apply(transaction)
        now += 1
    assert sizes == [2_000, 2_000, 990, 0], "each step removes few tombstones"
    assert [*core_state.tombstones] == [f"alert:{n}" for n in range(9, -1, -1)], (
        "the newest tombstones are kept"
    )


def test_many_expired_tombstones_are_removed_step_by_step() -> None:
    stored = {f"alert:{n}": Tombstone(20.0, NOW, 1.0) for n in range(5_000)}
    core_state = CoreState(PolicyTable(), tombstones=stored)
    counts = []
    for _ in range(3):
        apply(core_state, Expire(()), now=NOW + 1)
        counts.append(len(core_state.tombstones))
    assert counts == [3_000, 1_000, 0]


def test_a_resolve_of_an_ignored_alert_ends_its_signal_and_leaves_no_tombstone_without_one() -> None:
    core_state = CoreState(PolicyTable())
    apply(core_state, ReceiveAlerts((fired("a"),)))
    ignored = AlertOutcome.IGNORED
    [outcome] = apply(
        core_state,
        ReceiveAlerts(
            (
                resolved("a", outcome_if_unknown=ignored),
                resolved("b", outcome_if_unknown=AlertOutcome.MISDIRECTED),
            )
        ),
    )
    assert outcome.alerts == (AlertOutcome.APPLIED, AlertOutcome.MISDIRECTED)
    assert core_state.scope_by_alert == {}
    assert [*core_state.tombstones] == ["alert:a"]


steps = st.one_of(
    st.tuples(st.just("resolve"), st.lists(st.integers(0, 12), max_size=8)),
    st.tuples(st.just("fire"), st.lists(st.integers(0, 12), max_size=3)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 400.0])),
    st.tuples(st.just("shift"), st.sampled_from([-600.0, -2.0])),
)


@given(st.lists(st.lists(steps, min_size=1, max_size=3), max_size=20), st.integers(1, 6))
def test_the_count_is_right_for_any_changes_in_one_batch(batches, limit) -> None:
    core_state = CoreState(PolicyTable(), max_tombstones=limit)
    now = NOW
    for batch in batches:
        transaction = Transaction(core_state)
        for kind, what in batch:
            if kind == "resolve":
                alerts = tuple(AlertResolved(f"alert:{n}", now, now + 900) for n in what)
                transaction.apply_command(ReceiveAlerts(alerts), now)
            elif kind == "fire":
                alerts = tuple(
                    AlertFired(f"alert:{n}", "a", WellbeingState.CAUTIOUS, "", now, now + 50) for n in what
                )
                transaction.apply_command(ReceiveAlerts(alerts), now)
            elif kind == "wait":
                now += what
                transaction.apply_command(Expire(("a",)), now)
            else:
                now += what
                transaction.apply_command(ShiftTime(what), now)
        core_state.apply(transaction)
        assert len(core_state.tombstones) <= limit
        received = [one.received_at for one in core_state.tombstones.values()]
        assert received == sorted(received), "the tombstones are in the order of their receipt"
