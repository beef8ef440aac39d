"""A report as JSON."""

from __future__ import annotations

from typing import Any

from sidecar.clock import rfc3339

from .limits import LimitSummary, RecordedLimit
from .summary import AlertSummary, BacktestReport, ConfigResult, ScopeSummary, TimedPause


def json_report(report: BacktestReport) -> dict[str, Any]:
    """The members of the report. Times are in RFC 3339, durations in seconds."""
    return {
        "prometheus": report.prometheus,
        "alerts_from": report.alerts_from,
        "start": rfc3339(report.start),
        "end": rfc3339(report.end),
        "step_secs": report.step_secs,
        "notes": list(report.notes),
        "configs": [_config(result) for result in report.configs],
    }


def _config(result: ConfigResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "settings": dict(result.settings),
        "assumed": result.assumed,
        "notes": list(result.notes),
        "scopes": [_scope(scope) for scope in result.scopes],
        "pauses": [_pause(pause) for pause in result.pauses],
        "alerts": [_alert(alert) for alert in result.alerts],
        "limits": [_limits(limits) for limits in result.limits],
        "restrictions": [_limit(limit) for limit in result.limit_spans if limit.rate is not None],
        "trials": [_limit(limit) for limit in result.limit_spans if limit.rate is None],
    }


def _scope(scope: ScopeSummary) -> dict[str, Any]:
    return {
        "scope": scope.scope,
        "advised": scope.advised,
        "pauses": scope.pauses,
        "paused_secs": _rounded(scope.paused_secs),
        "longest_secs": _rounded(scope.longest_secs),
        "flaps": scope.flaps,
        "ended_by_max_pause": scope.ended_by_limit,
        "share": round(scope.share, 6),
        "by_alert": [
            {"alertname": name, "pauses": count, "paused_secs": _rounded(secs)}
            for name, (count, secs) in scope.by_alert.items()
        ],
        "states": [{"at": rfc3339(at), "state": state.label} for at, state in scope.states],
    }


def _pause(pause: TimedPause) -> dict[str, Any]:
    return {
        "scope": pause.scope,
        "advised": pause.advised,
        **_period(pause),
        "secs": _rounded(pause.secs),
        "cause": pause.cause or None,
        "alertname": pause.alertname,
        "labels": dict(pause.labels),
        "reason": pause.reason,
        "flap": pause.flap,
    }


def _period(one: TimedPause | RecordedLimit) -> dict[str, str | None]:
    return {"since": rfc3339(one.began), "until": None if one.ended is None else rfc3339(one.ended)}


def _limits(limits: LimitSummary) -> dict[str, Any]:
    return {
        "scope": limits.scope,
        "restrictions": limits.restrictions,
        "restricted_secs": _rounded(limits.restricted_secs),
        "lowest_rate": limits.lowest_rate,
        "trials": limits.trials,
        "trial_secs": _rounded(limits.trial_secs),
    }


def _limit(limit: RecordedLimit) -> dict[str, Any]:
    return {
        "scope": limit.scope,
        **_period(limit),
        **({} if limit.rate is None else {"admit_per_sec": limit.rate}),
        "reason": limit.reason,
    }


def _alert(alert: AlertSummary) -> dict[str, Any]:
    return {
        "alertname": alert.alertname,
        "firings": alert.firings,
        "firing_secs": _rounded(alert.firing_secs),
        "state": alert.state.label if alert.state is not None else None,
        "scopes": list(alert.scopes),
        "pauses": alert.pauses,
        "ignored": alert.ignored or None,
    }


def _rounded(secs: float) -> float:
    return round(secs, 3)
