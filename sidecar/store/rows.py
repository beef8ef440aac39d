"""Converts values to database rows and back."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as encode_text
from math import isfinite
from typing import Any

from sidecar.core.state import WellbeingState
from sidecar.core.values import (
    AdviceCause,
    Episode,
    Hold,
    HoldKind,
    LiftCause,
    Restriction,
    ScopeRecord,
    Signal,
    Trial,
)

from .entries import HistoryEntry

Row = tuple[Any, ...]
_BOOLEANS = ("false", "true")


def scope_row(scope: str, record: ScopeRecord) -> Row:
    """The row ``scope, state, auto, manual, episode, restriction, trial``."""
    return (
        scope,
        int(record.state),
        _hold_text(record.auto),
        _hold_text(record.manual),
        _episode_text(record.episode),
        _restriction_text(record.restriction),
        _trial_text(record.trial),
    )


def signal_row(scope: str, signal: Signal) -> Row:
    """The row ``scope, source, state, reason, since, expires_at, ended_at, asked, alertname``."""
    return (
        scope, signal.source, int(signal.state), signal.reason, signal.since, signal.expires_at,
        signal.ended_at, signal.query, signal.alertname,
    )  # fmt: skip


def entry_row(entry: HistoryEntry) -> Row:
    """The row of all attributes except the id, in their order."""
    return (
        entry.at, entry.scope, entry.kind, entry.old, entry.new, entry.source, entry.reason, entry.cause,
        entry.until, entry.actor, entry.alertname,
    )  # fmt: skip


def record_of(row: Row, signals: dict[str, Signal]) -> ScopeRecord:
    """The record in a row ``state, auto, manual, episode, restriction, trial``."""
    state, auto, manual, episode, restriction, trial = row
    return ScopeRecord(
        WellbeingState(state),
        signals,
        _hold(auto),
        _hold(manual),
        _episode(episode),
        None if restriction is None else Restriction(**json.loads(restriction)),
        _trial(trial),
    )


def signal_of(row: Row) -> Signal:
    """The signal in a row ``source, state, reason, since, expires_at, ended_at, asked, alertname``."""
    source, state, reason, since, expires_at, ended_at, query, alertname = row
    return Signal(
        str(source),
        WellbeingState(state),
        str(reason),
        float(since),
        _time(expires_at),
        _time(ended_at),
        str(query),
        str(alertname),
    )


# The functions below build the JSON texts: `json.dumps` takes three times as long for a dictionary, and four
# times as long for a text. Thousands of scopes may be written at once.


def _number_text(value: float | None) -> str:
    return "null" if value is None else repr(value) if isfinite(value) else json.dumps(value)


def _restriction_text(restriction: Restriction | None) -> str | None:
    if restriction is None:
        return None
    members = {name: getattr(restriction, name) for name in restriction.__slots__}
    return json.dumps(members)


def _hold_text(hold: Hold | None) -> str | None:
    if hold is None:
        return None
    advised = "null" if hold.advised is None else f'"{hold.advised.value}"'
    return (
        f'{{"kind": "{hold.kind.value}", "reason": {encode_text(hold.reason)}, '
        f'"since": {_number_text(hold.since)}, "until": {_number_text(hold.until)}, '
        f'"by": {encode_text(hold.by)}, "alertname": {encode_text(hold.alertname)}, '
        f'"advised": {advised}, "failed_trials": {hold.failed_trials}}}'
    )


def _hold(text: str | None) -> Hold | None:
    if text is None:
        return None
    members = json.loads(text)
    # Older versions gave no advice.
    advised = members.get("advised")
    values = {
        "kind": HoldKind(members["kind"]),
        "since": float(members["since"]),
        "until": _time(members["until"]),
        "advised": None if advised is None else AdviceCause(advised),
    }
    return Hold(**{**members, **values})


def _trial_text(trial: Trial | None) -> str | None:
    if trial is None:
        return None
    hold = json.loads(_hold_text(trial.hold) or "")
    return json.dumps({"requests": trial.requests, "since": trial.since, "until": trial.until, "hold": hold})


def _trial(text: str | None) -> Trial | None:
    if text is None:
        return None
    members = json.loads(text)
    hold = _hold(json.dumps(members["hold"]))
    if hold is None:
        raise ValueError("a trial without its hold")
    return Trial(int(members["requests"]), float(members["since"]), float(members["until"]), hold)


def _episode_text(episode: Episode | None) -> str | None:
    if episode is None:
        return None
    cause = "null" if episode.pause_end_cause is None else f'"{episode.pause_end_cause.value}"'
    known = ", ".join([encode_text(source) for source in sorted(episode.known)])
    return (
        f'{{"since": {_number_text(episode.since)}, "level": {int(episode.level)}, "known": [{known}], '
        f'"suppressed": {_BOOLEANS[episode.suppressed]}, '
        f'"pause_ended_at": {_number_text(episode.pause_ended_at)}, "pause_end_cause": {cause}, '
        f'"pause_advised": {_BOOLEANS[episode.pause_advised]}}}'
    )


def _episode(text: str | None) -> Episode | None:
    if text is None:
        return None
    members = json.loads(text)
    # Older versions did not store when and why the pause ended.
    ended_at, cause = members.get("pause_ended_at"), members.get("pause_end_cause")
    values = {
        "since": float(members["since"]),
        "known": frozenset(members["known"]),
        "level": WellbeingState(members["level"]),
        "pause_ended_at": _time(ended_at),
        "pause_end_cause": None if cause is None else LiftCause(cause),
    }
    return Episode(**{**members, **values})


def _time(value: object) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a time")
    return None if value is None else float(value)
