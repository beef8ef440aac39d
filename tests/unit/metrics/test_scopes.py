"""The cached lines of a scope equal newly rendered lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from sidecar.core.policy import Policy
from sidecar.core.state import WellbeingState
from sidecar.core.values import AdviceCause, Hold, HoldKind, Signal
from sidecar.gates.gate import ScopeGate
from sidecar.metrics.scopes import CachedScopeLines, chunks, families

HOLD = Hold(HoldKind.MANUAL, 'a "reason" \\ with\nlines', 1.0, 99.0, "an operator", 'An "alert"')
ADVICE = Hold(HoldKind.AUTO, "slow", 1.0, 99.0, "alert:a", advised=AdviceCause.DRY_RUN)
COUNTS = (
    "requests", "blocked", "waited", "timed_out", "abandoned", "rejected", "waiting", "interventions",
    "advised_pauses",
)  # fmt: skip


def show(gate: ScopeGate, **changes: object) -> None:
    gate.set_state(gate.state._replace(**changes))


def signal(gate: ScopeGate) -> None:
    one = Signal("agent:a", WellbeingState.CONCERNED, "slow", 1.0, None)
    signals = {**gate.record.signals, f"agent:{len(gate.record.signals)}": one}
    show(gate, record=replace(gate.record, signals=signals))


def rise(gate: ScopeGate) -> None:
    show(gate, effective=WellbeingState.DISTRESSED, version=gate.version + 1)


def close(gate: ScopeGate) -> None:
    show(gate, closed=True, nearest_hold=HOLD, held_by="", version=gate.version + 1)


def open_again(gate: ScopeGate) -> None:
    show(gate, closed=False, nearest_hold=None, held_by=None, version=gate.version + 1)


def advise(gate: ScopeGate) -> None:
    show(gate, advised=True, nearest_advice=ADVICE, advised_by="", version=gate.version + 1)


def was_advised(gate: ScopeGate) -> None:
    show(gate, advised_secs=gate.state.advised_secs + 1)


def was_paused(gate: ScopeGate) -> None:
    show(gate, paused_secs=gate.paused_secs + 1)


def count(name: str) -> Callable[[ScopeGate], None]:
    return lambda gate: setattr(gate, name, getattr(gate, name) + 1)


def cause(name: str, key: str) -> Callable[[ScopeGate], None]:
    return lambda gate: getattr(gate, name).update({key: getattr(gate, name).get(key, 0) + 1})


CHANGES = {
    "signal": signal,
    "rise": rise,
    "close": close,
    "open": open_again,
    "was paused": was_paused,
    "advise": advise,
    "was advised": was_advised,
    **{name: count(name) for name in COUNTS},
    **{f"pauses {key}": cause("pauses", key) for key in ("auto", "manual", "imported")},
    **{f"resumes {key}": cause("resumes", key) for key in ("recovered", "max_pause", "imported")},
}


def text_of(kept: CachedScopeLines) -> str:
    headers = [b"# HELP " + family.name.encode() + b" x\n" for family in families()]
    return b"".join(chunks([kept.lines], headers)).decode()


@given(steps=st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.sampled_from((0.0, 2.5))), max_size=12))
def test_cached_lines_equal_newly_rendered_lines(steps: list[tuple[str, float]]) -> None:
    gate, kept = ScopeGate("team-a/llama", None, Policy(), 1), CachedScopeLines()
    kept.refresh(gate, 0.0, 0.0)
    for now, (name, elsewhere) in enumerate(steps):
        CHANGES[name](gate)
        fresh = CachedScopeLines()
        fresh.refresh(gate, float(now), elsewhere)
        kept.refresh(gate, float(now), elsewhere)
        assert kept.lines == fresh.lines
        assert kept.size == len(b"".join(kept.lines))


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"open"}))
def test_every_change_renders_the_scope_again(name: str) -> None:
    gate, kept = ScopeGate("team-a/llama", None, Policy(), 1), CachedScopeLines()
    kept.refresh(gate, 0.0, 0.0)
    before = kept.lines
    CHANGES[name](gate)
    kept.refresh(gate, 0.0, 0.0)
    assert kept.lines != before


def test_an_unchanged_scope_is_not_rendered_again() -> None:
    gate, kept = ScopeGate("team-a/llama", None, Policy(), 1), CachedScopeLines()
    kept.refresh(gate, 0.0, 0.0)
    before = kept.lines
    kept.refresh(gate, 100.0, 0.0)
    assert kept.lines is before
    gate.requests += 1
    kept.refresh(gate, 100.0, 0.0)
    assert sum(one is not other for one, other in zip(kept.lines, before, strict=True)) <= 10
    assert kept.lines[0] is before[0]


def test_label_values_are_escaped() -> None:
    gate, kept = ScopeGate("team-a/llama", None, Policy(), 1), CachedScopeLines()
    close(gate)
    kept.refresh(gate, 0.0, 0.0)
    samples = [sample for family in parse(text_of(kept)) for sample in family.samples]
    info = next(sample for sample in samples if sample.name == "wellbeing_pause_info")
    assert info.labels == {
        "scope": "team-a/llama", "held_by": "(root)", "kind": "manual", "source": "an operator", "reason": HOLD.reason,
        "alertname": HOLD.alertname,
    }  # fmt: skip
