"""The parameters of a backtest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sidecar.config import Config
from sidecar.http_json import HttpAccess


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """The route and the receiver that deliver alerts to the sidecar. The defaults are Alertmanager's own.

    Attributes:
        group_by: labels by which alerts are grouped; ``...``: all labels.
        group_wait_secs: seconds from a group's first alert to its first notification.
        group_interval_secs: seconds between two notifications of a group with changes.
        repeat_interval_secs: seconds between two notifications of a group without changes.
        send_resolved: whether the webhook receives resolved alerts.
    """

    group_by: tuple[str, ...] = ("alertname",)
    group_wait_secs: float = 30.0
    group_interval_secs: float = 300.0
    repeat_interval_secs: float = 14_400.0
    send_resolved: bool = True


@dataclass(frozen=True, slots=True)
class NamedConfig:
    """A sidecar's config, and its name in the report."""

    name: str
    config: Config


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What to test, and on which data.

    Attributes:
        prometheus: the URL of Prometheus.
        access: credentials and TLS files for it.
        start: start of the range, seconds since the epoch.
        end: end of the range, seconds since the epoch.
        configs: the configs, at least one; each is simulated on the same alerts.
        rule_files: rule files to evaluate instead of the series ``ALERTS``; empty: use the series.
        step_secs: see `sidecar.backtest.run.choose_step`; None: the default.
        alertmanager: how alerts are sent.
        assume_pause: simulate policies that only observe as if they paused when distressed.
    """

    prometheus: str
    access: HttpAccess
    start: float
    end: float
    configs: tuple[NamedConfig, ...]
    rule_files: tuple[Path, ...] = ()
    step_secs: float | None = None
    alertmanager: AlertmanagerSettings = field(default_factory=AlertmanagerSettings)
    assume_pause: bool = True
