"""What a decision changed: the only thing that logs, history and counters are made from.

What the history tells of has an ``actor``: the name of the credential behind the command; empty: nobody
had to say who they are, or time did it. Where an alert is the source, ``alertname`` is its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from .state import WellbeingState
from .values import Hold, LiftCause, Signal


@dataclass(frozen=True, slots=True)
class SignalPut:
    """A signal began, or an existing one changed or was refreshed."""

    scope: str
    at: float
    signal: Signal


@dataclass(frozen=True, slots=True)
class SignalDropped:
    """A signal ended: resolved, withdrawn or expired."""

    scope: str
    at: float
    signal: Signal
    expired: bool


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A scope's own state changed."""

    scope: str
    at: float
    old: WellbeingState
    new: WellbeingState
    source: str
    reason: str
    actor: str = ""
    alertname: str = ""


@dataclass(frozen=True, slots=True)
class HoldPut:
    """A hold was put or renewed; ``paused`` when the scope had none before."""

    scope: str
    at: float
    hold: Hold
    paused: bool
    actor: str = ""


@dataclass(frozen=True, slots=True)
class HoldLifted:
    """A hold ended; ``resumed`` when the scope has none left."""

    scope: str
    at: float
    hold: Hold
    cause: LiftCause
    reason: str
    by: str
    resumed: bool
    actor: str = ""
    alertname: str = ""


@dataclass(frozen=True, slots=True)
class HistoryNoted:
    """Something else that the history tells of: an engine's switch was turned, for instance."""

    scope: str
    at: float
    kind: str
    old: str
    new: str
    source: str
    reason: str
    actor: str = ""


CoreEvent = HistoryNoted | SignalPut | SignalDropped | StateChanged | HoldPut | HoldLifted
