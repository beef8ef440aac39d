"""Counts what a simulation recorded, per scope and per alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.state import WellbeingState

from .limits import LimitSummary, RecordedLimit
from .recorder import RecordedPause

FLAP_SECS = 600.0
"""A pause that begins sooner than this after the end of the scope's previous pause is a flap."""


@dataclass(frozen=True, slots=True)
class TimedPause:
    """A pause, cut to the range.

    Attributes:
        scope: the scope.
        began: seconds since the epoch; may be before the range.
        ended: seconds since the epoch; None: still paused at the end of the range.
        secs: seconds of the pause within the range.
        cause: why it ended; empty: it has not ended.
        alertname: name of the alert that caused it; for the watchdog's claim, its source.
        labels: labels of that alert.
        reason: the reason that a refused request would have got.
        flap: it began soon after the previous pause of the scope.
        advised: the config does not pause this scope; it was assumed to.
    """

    scope: str
    began: float
    ended: float | None
    secs: float
    cause: str
    alertname: str
    labels: Mapping[str, str]
    reason: str
    flap: bool
    advised: bool


@dataclass(frozen=True, slots=True)
class ScopeSummary:
    """The results for one scope.

    Attributes:
        scope: the scope.
        advised: the config does not pause it; it was assumed to.
        pauses: pauses in the range, including those that began before it.
        paused_secs: seconds of all pauses within the range.
        longest_secs: the longest pause, within the range.
        flaps: pauses that began soon after the previous one ended.
        ended_by_limit: pauses that ``max_pause_secs`` ended.
        share: paused share of the range, 0 to 1.
        by_alert: number of pauses and seconds, by alert name.
        states: the own states from the start of the range, each with its beginning.
    """

    scope: str
    advised: bool
    pauses: int
    paused_secs: float
    longest_secs: float
    flaps: int
    ended_by_limit: int
    share: float
    by_alert: Mapping[str, tuple[int, float]]
    states: tuple[tuple[float, WellbeingState], ...]


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """The effect of the alerts with one name.

    Attributes:
        alertname: their name.
        firings: how often an alert fired in the range.
        firing_secs: seconds for which they fired in the range, in total.
        state: the worst state that they claim; None: the rules ignore them.
        scopes: the scopes that they concern.
        pauses: number of pauses that they caused.
        ignored: why some or all of them claim no state; empty: each of them claims one.
    """

    alertname: str
    firings: int
    firing_secs: float
    state: WellbeingState | None
    scopes: tuple[str, ...]
    pauses: int
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class ConfigResult:
    """The effect of one config.

    Attributes:
        name: name of the config.
        settings: the settings that affect pauses, by key.
        assumed: the config does not pause some of the scopes, and they were assumed to be paused.
        scopes: the scopes with a pause or a state other than healthy, sorted by name.
        pauses: the pauses, sorted by time.
        alerts: the alerts, sorted by name.
        notes: notes for the reader.
        limits: the restrictions and trials of each scope that had any.
        limit_spans: these restrictions and trials, in order of time.
    """

    name: str
    settings: Mapping[str, str]
    assumed: bool
    scopes: tuple[ScopeSummary, ...]
    pauses: tuple[TimedPause, ...]
    alerts: tuple[AlertSummary, ...]
    notes: tuple[str, ...]
    limits: tuple[LimitSummary, ...] = ()
    limit_spans: tuple[RecordedLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """The results of a backtest.

    Attributes:
        prometheus: the URL of Prometheus, without credentials.
        alerts_from: ``ALERTS``, or the rule files.
        start: start of the range, seconds since the epoch.
        end: end of the range, seconds since the epoch.
        step_secs: seconds between two samples of an alert.
        configs: one result for each config.
        notes: notes for the reader about the alerts.
    """

    prometheus: str
    alerts_from: str
    start: float
    end: float
    step_secs: float
    configs: tuple[ConfigResult, ...]
    notes: tuple[str, ...]


def timed_pauses(
    pauses: Sequence[RecordedPause],
    labels: Mapping[str, Mapping[str, str]],
    advised: Mapping[str, bool],
    start: float,
    end: float,
) -> list[TimedPause]:
    """The pauses that lie in the range, cut to it.

    Args:
        pauses: the pauses, sorted by beginning.
        labels: the labels of alerts, by source.
        advised: for each scope, whether the config only advises its pauses.
        start: start of the range, seconds since the epoch.
        end: end of the range, seconds since the epoch.
    """
    timed = []
    last_end: dict[str, float] = {}
    for pause in pauses:
        flap = pause.began - last_end.get(pause.scope, float("-inf")) < FLAP_SECS
        last_end[pause.scope] = float("inf") if pause.ended is None else pause.ended
        if pause.began >= end or (pause.ended is not None and pause.ended <= start):
            continue
        of_alert = labels.get(pause.source, {})
        secs = min(end, end if pause.ended is None else pause.ended) - max(start, pause.began)
        timed.append(
            TimedPause(
                pause.scope,
                pause.began,
                pause.ended,
                secs,
                pause.cause,
                of_alert.get("alertname") or pause.source,
                of_alert,
                pause.reason,
                flap,
                advised[pause.scope],
            )
        )
    return timed


def summarize_scopes(
    pauses: Sequence[TimedPause],
    states: Mapping[str, Sequence[tuple[float, WellbeingState]]],
    advised: Mapping[str, bool],
    start: float,
    end: float,
) -> list[ScopeSummary]:
    """A summary of each scope that had a pause or a state other than healthy.

    Arguments as in `timed_pauses`.
    """
    by_scope: dict[str, list[TimedPause]] = {}
    for pause in pauses:
        by_scope.setdefault(pause.scope, []).append(pause)
    summaries = []
    for scope in sorted(by_scope.keys() | states.keys()):
        own = by_scope.get(scope, [])
        within = _within(states.get(scope, ()), start, end)
        if not own and all(state is WellbeingState.HEALTHY for _, state in within):
            continue
        by_alert: dict[str, tuple[int, float]] = {}
        for pause in own:
            count, secs = by_alert.get(pause.alertname, (0, 0.0))
            by_alert[pause.alertname] = (count + 1, secs + pause.secs)
        paused = sum(pause.secs for pause in own)
        summaries.append(
            ScopeSummary(
                scope=scope,
                advised=advised[scope],
                pauses=len(own),
                paused_secs=paused,
                longest_secs=max((pause.secs for pause in own), default=0.0),
                flaps=sum(pause.flap for pause in own),
                ended_by_limit=sum(pause.cause == "max_pause" for pause in own),
                share=paused / (end - start),
                by_alert=dict(sorted(by_alert.items(), key=lambda one: (-one[1][1], one[0]))),
                states=tuple(within),
            )
        )
    return summaries


def _within(
    changes: Sequence[tuple[float, WellbeingState]], start: float, end: float
) -> list[tuple[float, WellbeingState]]:
    before = [state for at, state in changes if at <= start]
    first = before[-1] if before else WellbeingState.HEALTHY
    return [(start, first), *((at, state) for at, state in changes if start < at < end)]
