"""Runs a backtest: queries Prometheus, simulates each config, and counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.alerts import Alert, NoMatch, RuleMatch, RuleSet
from sidecar.core.scope import ROOT
from sidecar.core.values import ALERT_PREFIX

from .alertmanager_delays import FiringAlert, firing_alerts
from .alerts_series import read_alerts
from .environment import Environment, absent_names, read_environment, require_data
from .errors import InvalidInput
from .limits import guard_notes, limits_within, summarize_limits
from .periods import AlertPeriod
from .policies import observes_only, pausing, settings_of
from .progress import Progress
from .prometheus import PrometheusApi
from .recorded_series import RecordedSeries
from .request import BacktestRequest, NamedConfig
from .rule_evaluation import Grid, evaluate_rule
from .rule_files import AlertingRule, read_rule_files
from .simulation import Simulation
from .summary import (
    AlertSummary,
    BacktestReport,
    ConfigResult,
    TimedPause,
    summarize_scopes,
    timed_pauses,
)

_LOOK_MS = 15_000
_DEFAULT_EVALUATION_MS = 60_000
_WATCHDOG = "it is the watchdog's"
_DEFAULT_REASON = "summary"
_ANNOTATION = re.compile(r"\{annotations\.([a-zA-Z_][a-zA-Z0-9_]*)\}", re.ASCII)
_WARM_UP_MS = 3_600_000
"""Time before the range that is also simulated, so that alerts and pauses that began earlier are
recognised."""


@dataclass(frozen=True, slots=True)
class _Alerts:
    """The alerts that fired, and notes about them."""

    periods: list[AlertPeriod]
    step: int
    notes: list[str]


def run_backtest(request: BacktestRequest, progress: Progress | None = None) -> BacktestReport:
    """Run the backtest.

    Args:
        request: what to test, and on which data.
        progress: shows the progress.

    Raises:
        BacktestError: it cannot be done; the message says why.
    """
    progress = progress or Progress()
    api = PrometheusApi(request.prometheus, request.access)
    start, end = round(request.start * 1000), round(request.end * 1000)
    rules, recording = read_rule_files(list(request.rule_files)) if request.rule_files else ([], [])
    notes = _require_annotations(rules, request.configs)
    try:
        environment = read_environment(api)
        notes += require_data(api, start, end)
        step = choose_step(request, environment)
        if rules:
            first = start - _WARM_UP_MS - max(rule.hold_ms + rule.keep_firing_ms for rule in rules)
            series = RecordedSeries(api, recording, Grid(start, end, step))
            notes += series.check(rules)
            found = _evaluate(api, rules, environment, Grid(first, end, step), progress)
        else:
            found = _read(api, environment, Grid.aligned(start - _WARM_UP_MS, end, step), progress)
        alerts = firing_alerts(found.periods)
        results = []
        for named in request.configs:
            progress.begin(f"simulate {named.name}", 1)
            results.append(_simulate(named, alerts, request))
    finally:
        progress.clear()
    return BacktestReport(
        prometheus=api.name,
        alerts_from=", ".join(map(str, request.rule_files)) or "ALERTS",
        start=request.start,
        end=request.end,
        step_secs=found.step / 1000,
        configs=tuple(results),
        notes=(*notes, *found.notes),
    )


def choose_step(request: BacktestRequest, environment: Environment) -> int:
    """The step of the grid in milliseconds.

    For ``ALERTS``: 15 s, or the shortest evaluation interval if that is shorter. For rule files: the step of
    groups without an interval, which is Prometheus' evaluation interval, or one minute if that is not known.
    """
    if request.step_secs is not None:
        return round(request.step_secs * 1000)
    if request.rule_files:
        return environment.evaluation_interval_ms or _DEFAULT_EVALUATION_MS
    return min(_LOOK_MS, environment.shortest_interval_ms or _LOOK_MS)


def _require_annotations(rules: Sequence[AlertingRule], configs: Sequence[NamedConfig]) -> list[str]:
    """Check that the annotations that reasons use can be filled in. Returns notes on other annotations."""
    reasons = [rule.reason or "" for named in configs for rule in named.config.alerts.rules.rules]
    used = {_DEFAULT_REASON, *(name for reason in reasons for name in _ANNOTATION.findall(reason))}
    notes = []
    for rule in rules:
        for name, why in rule.not_filled.items():
            if name in used:
                raise InvalidInput(why)
            notes.append(f"{why}; no reason uses it, so it is left out")
    return notes


def _read(api: PrometheusApi, environment: Environment, grid: Grid, progress: Progress) -> _Alerts:
    progress.begin("read ALERTS", grid.points)
    periods = read_alerts(api, grid, environment.external_labels, progress.advance)
    notes = []
    if environment.relabels:
        notes.append("Prometheus changes alerts by alert_relabel_configs, which a backtest does not apply")
    if not periods:
        notes.append(
            "no alert fired in this range: ALERTS has no series (--rules tests rules that are not loaded)"
        )
    return _Alerts(periods, grid.step, notes)


def _evaluate(
    api: PrometheusApi,
    rules: Sequence[AlertingRule],
    environment: Environment,
    grid: Grid,
    progress: Progress,
) -> _Alerts:
    grids = [Grid.aligned(grid.start, grid.end, rule.interval_ms or grid.step) for rule in rules]
    progress.begin("evaluate rules", sum(one.points for one in grids))
    periods: list[AlertPeriod] = []
    silent = []
    for rule, own in zip(rules, grids, strict=True):
        found = evaluate_rule(api, rule, own, environment.external_labels, progress.advance)
        if not found:
            silent.append(rule)
        periods += [_with_external(period, environment) for period in found]
    notes = [
        f"Prometheus has no series {name} in this range, for which {', '.join(sorted(set(alerts)))} asks"
        for name, alerts in absent_names(api, silent, grid).items()
    ]
    return _Alerts(periods, min(one.step for one in grids), notes)


def _with_external(period: AlertPeriod, environment: Environment) -> AlertPeriod:
    labels = {**environment.external_labels, **period.labels}
    return AlertPeriod(labels, period.starts_at, period.ends_at, period.annotations)


def _simulate(named: NamedConfig, alerts: list[FiringAlert], request: BacktestRequest) -> ConfigResult:
    config, start, end = named.config, request.start, request.end
    policies = pausing(config.policies) if request.assume_pause else config.policies
    begin = min([start - _WARM_UP_MS / 1000, *(one.alert.starts_at for one in alerts[:1])])
    simulation = Simulation(config, policies, alerts, settings=request.alertmanager, start=begin, end=end)
    simulation.run()
    recorder = simulation.recorder
    labels = {ALERT_PREFIX + one.alert.fingerprint: one.alert.labels for one in alerts}
    scopes = {pause.scope for pause in recorder.pauses} | recorder.states.keys()
    advised = {scope: observes_only(config.policies, scope) for scope in scopes}
    pauses = timed_pauses(recorder.pauses, labels, advised, start, end)
    notes = [f"the core refused a notification: {why}" for why in sorted(simulation.refused)]
    notes += guard_notes(simulation.limits.guarded, start, end)
    limits = limits_within(simulation.limits.limits, start, end)
    watchdog = config.alerts.watchdog.alertname
    if watchdog and not simulation.watchdog_seen:
        notes.append(
            f"the watchdog's alert {watchdog} never fired in this range: the backtest assumes that it was "
            "received"
        )
    return ConfigResult(
        name=named.name,
        settings=settings_of(config),
        assumed=any(pause.advised for pause in pauses)
        or (request.assume_pause and observes_only(config.policies, ROOT)),
        scopes=tuple(summarize_scopes(pauses, recorder.states, advised, start, end)),
        pauses=tuple(pauses),
        alerts=tuple(_alert_summaries(alerts, config.alerts.rules, watchdog, pauses, start=start, end=end)),
        notes=tuple(notes),
        limits=tuple(summarize_limits(limits, recorder.pauses, start, end)),
        limit_spans=tuple(limits),
    )


def _alert_summaries(
    alerts: Sequence[FiringAlert],
    rules: RuleSet,
    watchdog: str,
    pauses: Sequence[TimedPause],
    *,
    start: float,
    end: float,
) -> list[AlertSummary]:
    by_name: dict[str, list[FiringAlert]] = {}
    for one in alerts:
        if one.ends_at > start and one.alert.starts_at < end:
            by_name.setdefault(one.alert.labels.get("alertname", ""), []).append(one)
    caused: dict[str, int] = {}
    for pause in pauses:
        caused[pause.alertname] = caused.get(pause.alertname, 0) + 1
    summaries = []
    for name, own in sorted(by_name.items()):
        alerts_seen: dict[str, Alert] = {one.alert.fingerprint: one.alert for one in own}
        matches = [] if name == watchdog else [rules.match(alert) for alert in alerts_seen.values()]
        claims = [match for match in matches if isinstance(match, RuleMatch)]
        causes = sorted({match.cause.value for match in matches if isinstance(match, NoMatch)})
        summaries.append(
            AlertSummary(
                alertname=name,
                firings=len(own),
                firing_secs=sum(min(end, one.ends_at) - max(start, one.alert.starts_at) for one in own),
                state=max((claim.state for claim in claims), default=None),
                scopes=tuple(sorted({claim.scope for claim in claims})),
                pauses=caused.get(name, 0),
                ignored=_WATCHDOG if name == watchdog else ", ".join(causes),
            )
        )
    return summaries
