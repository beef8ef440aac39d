"""Which policy applies to a scope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.commands import SetPolicies
from sidecar.core.errors import TooManyScopes
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import lies_within
from sidecar.core.transaction import Transaction

SCOPES = st.lists(st.sampled_from(("a", "b", "a-b")), max_size=3).map("/".join)


@given(matches=st.lists(SCOPES, max_size=8), scope=SCOPES)
def test_the_first_policy_that_matches_the_scope_applies(matches: list[str], scope: str) -> None:
    rules = tuple((match, Policy(max_pause_secs=index)) for index, match in enumerate(matches))
    table = PolicyTable(Policy(max_pause_secs=999), rules)
    one_by_one = (policy for match, policy in rules if lies_within(scope, match))
    assert table.policy_for(scope) == next(one_by_one, table.defaults)


def test_policy_tables_with_the_same_policies_are_equal() -> None:
    rules = (("a", Policy()),)
    assert PolicyTable(Policy(), rules) == PolicyTable(Policy(), rules)
    assert hash(PolicyTable(Policy(), rules)) == hash(PolicyTable(Policy(), rules))


def test_refused_policies_leave_their_batch_unchanged() -> None:
    core_state = CoreState(PolicyTable(), max_scopes=2)
    transaction = Transaction(core_state)
    with pytest.raises(TooManyScopes):
        transaction.apply_command(SetPolicies(PolicyTable(named=("a", "b", "c"))), 1.0)
    core_state.apply(transaction)
    assert core_state.policies == PolicyTable()
    assert core_state.records.keys() == {""}
