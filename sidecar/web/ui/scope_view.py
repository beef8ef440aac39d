"""The data of the page of one scope, read in one call in the event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.config import UiLink
from sidecar.core.scope import ancestors_of
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY, Hold, HoldKind, LiftCause, Restriction, ScopeRecord, Signal, Trial
from sidecar.gates.gate import GateState, ScopeGate
from sidecar.runtime.controller import Controller
from sidecar.store import HistoryEntry, HistoryQuery
from sidecar.web.api.status import suppressed_pause

from .links import alert_links, scope_links
from .scope_tree import in_order
from .timeline import Track, query_for, tracks_of

_ENDS = {
    LiftCause.MAX_PAUSE: "its longest pause was over",
    LiftCause.MANUAL: "an operator resumed it",
    LiftCause.EXPIRED: "its signals expired",
}
SIGNALS_SHOWN = 25
"""Signals on one page."""


@dataclass(frozen=True, slots=True)
class ScopeView:
    """One scope.

    Attributes:
        scope: the path.
        known: whether the scope is known.
        follows: the known scope that an unknown one follows; itself, if it is known.
        state: the state of the gate.
        record: the record of the scope; empty if it is unknown.
        enabled: whether its policy is enabled.
        max_pause_secs: the longest pause by its policy.
        counters: requests by outcome: label and count, in order.
        waiting: the requests that wait at the gate.
        suppressed: why it is not paused although its policy would pause it; None: no pause is suppressed.
        gates_above: ``open`` or ``closed`` of each known ancestor with a hold of its own, by scope.
        engines: name of each engine of the scope, and whether it agrees with the gate.
        restricted: whether the gate is neither open nor closed.
        rate: requests per second that the gate admits; None: not limited, or closed.
        restricting: the ancestors whose restriction or trial applies to the gate.
        waits_for_operator: whether the scope is well again, and its pause waits for an operator.
    """

    scope: str
    known: bool
    follows: str
    state: GateState
    record: ScopeRecord
    enabled: bool
    max_pause_secs: float
    counters: list[tuple[str, int]]
    waiting: int
    suppressed: dict[str, object] | None
    gates_above: dict[str, str]
    engines: list[tuple[str, bool]]
    restricted: bool
    rate: float | None
    restricting: list[str]
    waits_for_operator: bool

    @property
    def gate(self) -> str:
        """``open``, ``restricted`` or ``closed``."""
        if self.state.closed:
            return "closed"
        return "restricted" if self.restricted else "open"

    @property
    def restriction(self) -> Restriction | None:
        """The restriction of the scope itself; it may be advised only."""
        return self.record.restriction if self.enabled else None

    @property
    def advised_above(self) -> list[str]:
        """The ancestors that advise a restriction."""
        found = self.state.advised_limits if self.enabled else ()
        return [one.gate.scope for one in found if one.gate.scope != self.scope]

    @property
    def trial(self) -> Trial | None:
        """The trial of the scope itself."""
        return self.record.trial if self.enabled else None

    @property
    def holds(self) -> list[Hold]:
        """The holds of the scope itself that close its gate."""
        return [hold for hold in (self.record.manual, self.record.auto) if hold and not hold.advised]

    @property
    def hold_above(self) -> Hold | None:
        """The hold of an ancestor that closes the gate; None: it is open, or has a hold of its own."""
        return self.state.hold if self.state.hold is not None and not self.holds else None

    @property
    def manual(self) -> Hold | None:
        """The hold of an operator."""
        return self.record.manual

    @property
    def suppressed_words(self) -> tuple[str, float | None, str] | None:
        """A pause that is over, in words: its kind, when it ended, and why."""
        episode = self.record.episode
        if self.suppressed is None or episode is None:
            return None
        what = "advised pause" if episode.pause_advised else "pause"
        cause = episode.pause_end_cause
        return what, episode.pause_ended_at, _ENDS.get(cause, "") if cause else ""


def read_scope(controller: Controller, scope: str, engines: Iterable[tuple[str, str, bool]]) -> ScopeView:
    """The view of ``scope``. Call it in the event loop.

    Args:
        controller: has the scopes.
        scope: may be unknown.
        engines: scope, name and agreement of each engine.
    """
    gate, unnamed = controller.tree.find(scope)
    known = unnamed is None
    return ScopeView(
        scope,
        known,
        gate.scope,
        gate.state,
        gate.record if known else EMPTY,
        gate.policy.enabled,
        gate.policy.max_pause_secs,
        _counters(gate) if known else [],
        gate.waiting if known else 0,
        suppressed_pause(gate) if known else None,
        {
            one.scope: "closed" if one.closed else "open"
            for one in (*gate.ancestors(), *(() if known else (gate,)))
            if one.record.hold is not None
        },
        [(name, agrees) for where, name, agrees in engines if where == scope],
        gate.is_restricted,
        gate.admit_per_sec,
        list(dict.fromkeys(one.gate.scope for one in gate.limits if one.gate.scope != scope)),
        known and gate.waits_for_operator,
    )


def _counters(gate: ScopeGate) -> list[tuple[str, int]]:
    return [
        ("Requests", gate.requests),
        ("had to wait", gate.blocked),
        ("passed after a wait", gate.waited),
        ("timed out", gate.timed_out),
        ("disconnected while waiting", gate.abandoned),
        ("turned away", gate.rejected),
        ("wait now", gate.waiting),
        ("reported as succeeded", gate.succeeded),
        ("reported as failed", gate.failed),
    ]


def sorted_signals(record: ScopeRecord) -> list[Signal]:
    """The signals of ``record``, the worst first, then the oldest."""
    return list(in_order(record.signals.values(), lambda one: (-one.state, one.since, one.source)))


@dataclass(frozen=True, slots=True)
class SignalView:
    """A signal with its links."""

    signal: Signal
    links: list[tuple[str, str]]


def signals_of(view: ScopeView, links: Iterable[UiLink], first: int) -> list[SignalView]:
    """The signals on one page of ``view``, beginning with number ``first``."""
    chosen = sorted_signals(view.record)[first : first + SIGNALS_SHOWN]
    links = tuple(links)
    return [SignalView(one, alert_links(links, view.scope, one)) for one in chosen]


def links_of(view: ScopeView, links: Iterable[UiLink]) -> list[tuple[str, str]]:
    """The links of ``view`` that need no alert."""
    return scope_links(links, view.scope)


def timeline_of(
    view: ScopeView, read: Callable[[HistoryQuery], list[HistoryEntry]], now: float
) -> list[Track]:
    """The timeline of the last day of ``view``.

    Args:
        view: the scope.
        read: reads history entries.
        now: wall time, seconds since the epoch.
    """
    own = "closed" if view.holds and view.enabled else "open"
    current = {
        "Gate": own,
        "Own state": view.record.state.label if view.known else WellbeingState.HEALTHY.label,
        "Advice": "advised" if view.record.advice is not None else "none",
        "Restriction": "restricted" if view.record.restriction is not None else "unrestricted",
        "Trial": "trial" if view.record.trial is not None else "open",
    }
    above = []
    for scope in ancestors_of(view.scope):
        above.append((scope, read(query_for(scope, now))))
        current[f"Gate of {scope or 'the root'}"] = view.gates_above.get(scope, "open")
    return tracks_of(read(query_for(view.scope, now)), above, current, now)


def kind_words(hold: Hold) -> str:
    """Whether the policy or an operator put ``hold``, in words."""
    return "operator" if hold.kind is HoldKind.MANUAL else "policy"
