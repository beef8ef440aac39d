"""Random sequences of commands, compared with a naive model that stores and recomputes everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.core.commands import (
    AcceptResolves,
    AlertFired,
    AlertResolved,
    ClaimState,
    Expire,
    ForgetScopes,
    Pause,
    ReceiveAlerts,
    Resume,
    SetPolicies,
    ShiftTime,
)
from sidecar.core.events import HoldLifted, HoldPut, StateChanged
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import ancestors_of, parent_of
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction

SCOPES = ["", "a", "a/b", "c", "off"]
POLICIES = PolicyTable(
    Policy(pause_on_distressed=True, max_pause_secs=20),
    (
        ("a/b", Policy(pause_on_concerned=True, max_pause_secs=15, min_pause_secs=5)),
        ("off", Policy(enabled=False, pause_on_distressed=True)),
        ("c", Policy(pause_on_distressed=True, max_pause_secs=0)),
    ),
)
# Policies of a reload: holds begin, end or last longer; scopes become named, or are no longer named.
TABLES = [
    POLICIES,
    PolicyTable(Policy()),
    PolicyTable(Policy(pause_on_concerned=True, max_pause_secs=0), (("a", Policy(enabled=False)),), ("a/b",)),
    PolicyTable(Policy(pause_on_distressed=True, min_pause_secs=7.0, max_pause_secs=30)),
    PolicyTable(Policy(pause_on_concerned=True, dry_run=True, min_pause_secs=7.0, max_pause_secs=15)),
]


@dataclass
class NaiveScope:
    """A simple model of one scope."""

    policy: Policy
    claims: dict = field(default_factory=dict)  # source -> [level, expires, ended]
    own: int = 0
    auto: list | None = None  # [since, until]
    advised: bool = False  # the auto hold is advised only
    manual: list | None = None
    in_episode: bool = False
    suppressed: bool = False
    level: int = 0
    known: set = field(default_factory=set)
    interventions: int = 0
    pauses: int = 0
    resumes: int = 0
    advices: int = 0
    advices_ended: int = 0

    @property
    def threshold(self) -> int:
        if not self.policy.enabled:
            return 99
        return 2 if self.policy.pause_on_concerned else 3

    @property
    def advises(self) -> bool:
        wants = self.policy.pause_on_concerned or self.policy.pause_on_distressed
        return self.policy.enabled and (self.policy.dry_run or not wants)

    @property
    def held(self) -> bool:
        return self.manual is not None or (self.auto is not None and not self.advised)

    def put(self, which: str, since: float, until: float | None) -> None:
        was_held = self.held
        setattr(self, which, [since, until])
        if which == "auto":
            self.advised = self.advises
            self.advices += self.advised
        self.pauses += self.held and not was_held

    def lift(self, which: str) -> None:
        if getattr(self, which) is None:
            return
        was_held = self.held
        setattr(self, which, None)
        self.resumes += was_held and not self.held
        self.advices_ended += which == "auto" and self.advised

    def pass_time(self, now: float) -> None:
        """Apply all expiries that are due, in order."""
        while True:
            due = [claim[1] for claim in self.claims.values() if claim[1] is not None]
            due += [hold[1] for hold in (self.auto, self.manual) if hold and hold[1] is not None]
            if self.auto and not self.in_episode:
                due.append(self.auto[0] + self.policy.min_pause_secs)
            due = [at for at in due if at <= now]
            if not due:
                return
            at = min(due)
            for which in ("auto", "manual"):
                hold = getattr(self, which)
                if hold and hold[1] is not None and hold[1] <= at:
                    self.lift(which)
                    if which == "auto":
                        self.suppressed = True
            if self.auto and not self.in_episode and self.auto[0] + self.policy.min_pause_secs <= at:
                self.lift("auto")
            gone = [
                source for source, claim in self.claims.items() if claim[1] is not None and claim[1] <= at
            ]
            for source in gone:
                del self.claims[source]
            if gone:
                self.settle(at)

    def settle(self, now: float) -> None:
        before = self.own
        self.own = max((claim[0] for claim in self.claims.values()), default=0) if self.policy.enabled else 0
        self.interventions += self.own != before
        if self.own >= self.threshold:
            new = set(self.claims) - self.known
            if not self.in_episode:
                self.in_episode, self.suppressed, self.level, self.known = True, False, self.own, set()
                if self.auto is None:
                    self.put_auto(now)
            elif self.suppressed and (
                any(self.claims[source][0] >= self.threshold for source in new)
                or (self.own > before and self.own > self.level)
            ):
                self.suppressed, self.level = False, self.own
                self.put_auto(now)
            if self.auto and self.advised != self.advises:
                self.level = self.own
                self.lift("auto")
                self.put_auto(now)
            self.known |= set(self.claims)
        else:
            self.in_episode = False
            self.known = set()
            if self.auto and self.advises and not self.advised:
                self.lift("auto")
            if self.auto and self.auto[0] + self.policy.min_pause_secs <= now:
                self.lift("auto")

    def put_auto(self, now: float) -> None:
        self.put("auto", now, now + self.policy.max_pause_secs if self.policy.max_pause_secs else None)


class NaiveCore:
    def __init__(self) -> None:
        self.known = {"", *POLICIES.named_scopes()}
        self.policies = POLICIES
        self.scopes = {scope: NaiveScope(POLICIES.policy_for(scope)) for scope in SCOPES}
        self.ended: dict[str, float] = {}
        self.starts: dict[str, tuple[str, float]] = {}

    def fire(self, source: str, scope: str, level: int, start: float, expires: float, touched: set) -> None:
        if source in self.ended and start <= self.ended[source]:
            return
        here = self.starts.get(source)
        claims = self.scopes[scope].claims
        if here and source in self.scopes[here[0]].claims:
            if start < here[1]:
                return
            expires = max(expires, self.scopes[here[0]].claims[source][1])
        claims[source] = [level, expires, None]
        self.known.add(scope)
        self.starts[source] = (scope, start)
        touched.add(scope)

    def resolve_blindly(self, source: str, end: float, now: float) -> None:
        here = self.starts.get(source)
        claim = self.scopes[here[0]].claims.get(source) if here else None
        if claim and claim[2] is None and (end >= here[1] or here[1] > now):
            claim[2] = end

    def accept(self, now: float) -> None:
        for scope in self.scopes.values():
            over = {source: claim[2] for source, claim in scope.claims.items() if claim[2] is not None}
            for source, end in over.items():
                del scope.claims[source]
                self.ended[source] = end
            if over:
                scope.settle(now)

    def reload(self, policies: PolicyTable, now: float) -> None:
        self.policies = policies
        self.known |= set(policies.named_scopes())
        for name, scope in self.scopes.items():
            scope.policy = policies.policy_for(name)
            scope.pass_time(now)
            scope.settle(now)

    def forget(self) -> None:
        named = {"", *self.policies.named_scopes()}
        self.known -= {
            name
            for name, scope in self.scopes.items()
            if not (scope.claims or scope.auto or scope.manual) and name not in named
        }

    def shift(self, secs: float) -> None:
        for scope in self.scopes.values():
            for claim in scope.claims.values():
                claim[1] = None if claim[1] is None else claim[1] + secs
            for hold in (scope.auto, scope.manual):
                if hold:
                    hold[:] = [hold[0] + secs, None if hold[1] is None else hold[1] + secs]

    def resolve(self, source: str, end: float, now: float, touched: set) -> None:
        self.ended[source] = max(end, self.ended.get(source, end))
        here = self.starts.get(source)
        if here and source in self.scopes[here[0]].claims and (end >= here[1] or here[1] > now):
            self.ended[source] = max(self.ended[source], here[1])
            del self.scopes[here[0]].claims[source]
            touched.add(here[0])


# An alert's fingerprint is a hash of its labels, so it has one scope and one state.
ALERTS = {
    "alert:1": ("a/b", 3),
    "alert:2": ("", 3),
    "alert:3": ("a/b", 2),
    "alert:4": ("c", 3),
    "alert:5": ("off", 3),
}

scopes = st.sampled_from(SCOPES)
seconds = st.sampled_from([0.0, 1.0, 2.0, 5.0, 7.0, 15.0, 20.0])
alerts = st.tuples(st.sampled_from(sorted(ALERTS)), st.booleans(), st.integers(0, 30), st.integers(0, 10))
steps = st.one_of(
    st.tuples(
        st.just("claim"), scopes, st.sampled_from("xy"), st.integers(0, 3), st.sampled_from([None, 3.0, 15.0])
    ),
    st.tuples(st.just("notify"), st.lists(alerts, min_size=1, max_size=4)),
    st.tuples(st.just("blind"), st.lists(alerts, min_size=1, max_size=4)),
    st.tuples(st.just("accept")),
    st.tuples(st.just("reload"), st.sampled_from(TABLES)),
    st.tuples(st.just("forget")),
    st.tuples(st.just("set back"), st.sampled_from([-3.0, -40.0])),
    st.tuples(st.just("pause"), scopes, st.sampled_from([None, 0.0, 4.0])),
    st.tuples(st.just("resume"), scopes),
    st.tuples(st.just("wait")),
    st.tuples(st.just("discard"), scopes),
)


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(seconds, steps, st.booleans()), max_size=40))
def test_the_core_does_what_the_naive_model_does(sequence) -> None:
    core_state, naive = CoreState(POLICIES), NaiveCore()
    counts = {scope: [0, 0, 0, 0, 0] for scope in SCOPES}
    now = 100.0
    transaction = Transaction(core_state)
    for passed, step, batch_ends in sequence:
        now += passed
        if step[0] == "discard":
            # A transaction that is discarded has no effect.
            Transaction(core_state).apply_command(Pause(step[1], "discarded", "operator"), now)
            continue
        for scope in naive.scopes.values():
            scope.pass_time(now)
        before = transaction.apply_command(Expire(tuple(SCOPES)), now)
        if step[0] == "set back":
            now += step[1]
        # A command ends expired items only in its own scopes; timers do so in other scopes.
        outcome = transaction.apply_command(command(step, now), now)
        lapsed = transaction.apply_command(Expire(tuple(SCOPES)), now)
        apply_naively(naive, step, now)
        for scope in naive.scopes.values():
            scope.pass_time(now)
        for event in (*before.events, *outcome.events, *lapsed.events):
            count = counts[event.scope]
            count[0] += isinstance(event, StateChanged)
            count[1] += isinstance(event, HoldPut) and event.paused
            count[2] += isinstance(event, HoldLifted) and event.resumed
            count[3] += isinstance(event, HoldPut) and event.hold.advised is not None
            count[4] += isinstance(event, HoldLifted) and event.hold.advised is not None
        if batch_ends:
            core_state.apply(transaction)
            transaction = Transaction(core_state)
            compare(core_state, naive, counts)
            compare_indexes(core_state, naive)


def command(step, now: float):
    match step:
        case ("claim", scope, name, level, ttl):
            return ClaimState(scope, f"agent:{name}", WellbeingState(level), "", ttl)
        case ("accept",):
            return AcceptResolves()
        case ("reload", policies):
            return SetPolicies(policies)
        case ("forget",):
            return ForgetScopes(tuple(SCOPES))
        case ("set back", secs):
            return ShiftTime(secs)
        case ("notify" | "blind", listed):
            return ReceiveAlerts(
                tuple(
                    AlertFired(
                        source, ALERTS[source][0], WellbeingState(ALERTS[source][1]), "", 80.0 + at, now + 25
                    )
                    if firing
                    else AlertResolved(source, 80.0 + at + length, now + 1e6)
                    for source, firing, at, length in listed
                ),
                blind=step[0] == "blind",
            )
        case ("pause", scope, limit):
            return Pause(scope, "why", "anna", limit)
        case ("resume", scope):
            return Resume(scope, "anna")
        case _:
            return Expire(tuple(SCOPES))


def apply_naively(naive: NaiveCore, step, now: float) -> None:
    match step:
        case ("claim", name, source, level, ttl):
            scope = naive.scopes[name]
            naive.known.add(name)
            scope.claims.pop(f"agent:{source}", None)
            if level:
                scope.claims[f"agent:{source}"] = [level, None if ttl is None else now + ttl, None]
            scope.settle(now)
        case ("accept",):
            naive.accept(now)
        case ("reload", policies):
            naive.reload(policies, now)
        case ("forget",):
            naive.forget()
        case ("set back", secs):
            naive.shift(secs)
        case ("notify" | "blind" as kind, listed):
            touched: set[str] = set()
            for source, firing, at, length in listed:
                scope, level = ALERTS[source]
                if firing:
                    naive.fire(source, scope, level, 80.0 + at, now + 25, touched)
                elif kind == "blind":
                    naive.resolve_blindly(source, 80.0 + at + length, now)
                else:
                    naive.resolve(source, 80.0 + at + length, now, touched)
            for name in touched:
                naive.scopes[name].settle(now)
        case ("pause", name, limit):
            scope = naive.scopes[name]
            naive.known.add(name)
            limit = scope.policy.max_pause_secs if limit is None else limit
            scope.put("manual", scope.manual[0] if scope.manual else now, now + limit if limit else None)
        case ("resume", name):
            scope = naive.scopes[name]
            naive.known.add(name)
            scope.lift("auto")
            scope.lift("manual")
            scope.suppressed = True


def compare(core_state: CoreState, naive: NaiveCore, counts) -> None:
    for name, scope in naive.scopes.items():
        record = core_state.records.get(name)
        if record is None:
            assert not scope.claims
            continue
        assert record.state == scope.own, name
        assert {
            source: [s.state, s.expires_at, s.ended_at] for source, s in record.signals.items()
        } == scope.claims, name
        assert (record.auto and [record.auto.since, record.auto.until]) == scope.auto, name
        assert (record.manual and [record.manual.since, record.manual.until]) == scope.manual, name
        assert (record.advice is not None) == (scope.auto is not None and scope.advised), name
        ends = [scope.pauses, scope.resumes, scope.advices, scope.advices_ended]
        assert counts[name] == [scope.interventions, *ends], name
        assert scope.pauses - scope.resumes == (record.hold is not None)
        assert scope.advices - scope.advices_ended == (record.advice is not None)
        closed = any(
            core_state.records.get(one) and core_state.records[one].hold
            for one in (name, *ancestors_of(name))
        )
        assert closed == any(
            naive.scopes[one].held for one in (name, *ancestors_of(name)) if one in naive.scopes
        )


def compare_indexes(core_state: CoreState, naive: NaiveCore) -> None:
    """The indexes agree with the records, and forgotten scopes have no records."""
    assert set(core_state.records) == naive.known
    assert core_state.scope_by_alert == {
        source: scope
        for scope, record in core_state.records.items()
        for source in record.signals
        if source.startswith("alert:")
    }
    inside = Counter(parent_of(scope) for scope in core_state.records if scope)
    paused = Counter(
        parent_of(scope)
        for scope, record in core_state.records.items()
        if scope and record.auto is not None and record.auto.advised is None
    )
    for parent in {*inside, *paused, *map(parent_of, core_state.records), "nothing"}:
        assert core_state.counts_inside.known(parent) == inside[parent]
        assert core_state.counts_inside.paused(parent) == paused[parent]
    for scope, record in core_state.records.items():
        policy = core_state.policies.policy_for(scope)
        if record.episode is not None:
            assert policy.threshold is not None
            assert record.state >= policy.threshold
            ended = record.episode.pause_ended_at is not None
            assert record.episode.suppressed or not ended
            assert ended or not record.episode.pause_advised
            assert (record.episode.pause_end_cause is not None) == ended
        if record.auto is not None and record.auto.advised is None:
            assert policy.advises is None, "a policy that only observes keeps no gate closed"
