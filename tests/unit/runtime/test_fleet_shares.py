"""`max_paused_share` in a fleet: sidecars that decide at the same time on different scopes obey the share."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.examples import examples
from harness.simulated_fleet import Fleet, numbers, troubles
from harness.virtual_time import run_virtual
from sidecar.core.events import HoldPut
from sidecar.core.model import is_paused_by_policy
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.values import AdviceCause, HoldKind
from sidecar.runtime.inside_versions import inside_key

SHARE = 0.5
LIMITED = PolicyTable(Policy(pause_on_distressed=True, max_pause_secs=7.0, max_paused_share=SHARE))
UNLIMITED = PolicyTable(Policy(pause_on_distressed=True))


def claims(*scopes: str, state: int = 3) -> list[tuple]:
    """Send each claim to a different sidecar."""
    return [("claim", number, scope, "a", state) for number, scope in enumerate(scopes)]


def inside(records, parent: str) -> list[str]:
    return [scope for scope in records if scope.rpartition("/")[0] == parent and scope]


def verify_shares(fleet: Fleet) -> None:
    """In the order of the commits, each pause and each refusal is correct at its time."""
    records = {}
    for change, batch in fleet.data.log:
        before = dict(records)
        for scope, record in change.records.items():
            records.pop(scope, None) if record is None else records.update({scope: record})
        for event in batch.events:
            if not isinstance(event, HoldPut) or event.hold.kind is not HoldKind.AUTO or not event.scope:
                continue
            parent = event.scope.rpartition("/")[0]
            known = len(inside(records, parent))
            most = max(1, math.ceil(SHARE * known))
            paused = [
                sum(is_paused_by_policy(state[one]) for one in inside(state, parent))
                for state in (before, records)
            ]
            if event.hold.advised is AdviceCause.PAUSED_SHARE:
                assert max(paused) >= most, f"{event.scope} could be paused: {paused} of {known}"
            else:
                assert paused[1] <= most, f"too many in {parent!r}: {paused[1]} of {known}"


def play(size: int, steps: list[tuple], policies: PolicyTable = LIMITED) -> Fleet:
    fleets = []

    async def main() -> None:
        async with Fleet(size, policies) as fleet:
            fleets.append(fleet)
            for step in steps:
                await fleet.step(step)
            await fleet.settle()
            fleet.verify()
            if policies is LIMITED:
                verify_shares(fleet)

    run_virtual(main)
    return fleets[0]


def test_sidecars_that_decide_at_the_same_time_pause_no_more_than_the_share() -> None:
    scopes = [f"team/{name}" for name in "abcd"]
    fleet = play(4, [*claims(*scopes, state=0), ("together", *claims(*scopes))])
    assert sum(controller._fleet.conflicts for controller in fleet.controllers) > 0


def test_a_sidecar_may_pause_again_before_it_has_applied_the_end_of_another_pause() -> None:
    """The other sidecar still sees two paused scopes when it decides about the third."""
    scopes = [f"team/{name}" for name in "abcd"]
    before = [*claims(*scopes, state=0), *claims(*scopes[:2])]
    play(2, [*before, ("hold", 1), ("resume", 0, scopes[0]), ("claim", 1, scopes[2], "a", 3)])


def test_a_scope_that_another_sidecar_names_and_pauses_is_counted() -> None:
    play(2, [*claims("team/a", "team/b", state=0), ("hold", 1), *claims("team/new", "team/a")])


def test_a_recovery_does_not_hide_the_commits_before_it() -> None:
    """The recovery changes the count without reading it, so the earlier commits must be applied first."""
    scopes = [f"team/{name}" for name in "abcd"]
    before = [*claims(*scopes, state=0), ("claim", 1, "team/a", "a", 3), ("hold", 1)]
    unseen = [("claim", 0, "team/b", "a", 3), ("claim", 0, "team/b", "b", 3)]
    pauses = [("claim", 1, "team/c", "a", 3), ("claim", 1, "team/d", "a", 3)]
    play(2, [*before, *unseen, ("claim", 1, "team/a", "a", 0), *pauses])


def test_without_a_share_scopes_never_conflict() -> None:
    scopes = [f"team/{name}" for name in "abcd"]
    fleet = play(4, [*claims(*scopes, state=0), ("together", *claims(*scopes))], UNLIMITED)
    assert not any(controller._fleet.conflicts for controller in fleet.controllers)
    assert not fleet.data.sources


def test_the_version_of_a_path_is_deleted_with_its_last_scope() -> None:
    fleet = play(2, [*claims("team/a", state=3), *claims("team/a", state=0), ("forget", 1, "team/a")])
    assert inside_key("team") not in fleet.data.sources


scopes = st.sampled_from(["team", "other", *(f"team/{name}" for name in "abcde")])
commands = st.one_of(
    st.tuples(st.just("claim"), numbers, scopes, st.just("a"), st.sampled_from([0, 3, 3])),
    st.tuples(st.just("resume"), numbers, scopes),
    st.tuples(st.just("forget"), numbers, scopes),
)
together = st.lists(commands.filter(lambda one: one[0] != "forget"), min_size=2, max_size=5).map(
    lambda some: ("together", *some)
)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(size=st.integers(2, 4), steps=st.lists(st.one_of(commands, together, troubles), max_size=20))
def test_the_share_holds_in_the_order_of_the_commits(size: int, steps: list[tuple]) -> None:
    play(size, steps)
