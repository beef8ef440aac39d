"""The parameters of a backtest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sidecar.config import Config
from sidecar.http_json import HttpAccess


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """The route and the receiver by which alerts reach the sidecar. The defaults are Alertmanager's own.

    Attributes:
        group_by: labels that make a group; ``...``: all labels.
        group_wait_secs: from a group's first alert to its first notification.
        group_interval_secs: between two notifications of a group with changes.
        repeat_interval_secs: between two notifications of a group without changes.
        send_resolved: whether the webhook receives resolved alerts.
    """

    group_by: tuple[str, ...] = ("alertname",)
    group_wait_secs: float = 30.0
    group_interval_secs: float = 300.0
    repeat_interval_secs: float = 14_400.0
    send_resolved: bool = True


@dataclass(frozen=True, slots=True)
class NamedConfig:
    """A sidecar's config, and what to call it in the report."""

    name: str
    config: Config


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What to test, on what.

    Attributes:
        prometheus: URL.
        access: credentials and TLS files for it.
        start: of the range, seconds since the epoch.
        end: of the range, likewise.
        configs: at least one; each is simulated on the same alerts.
        rule_files: rule files to evaluate instead of the series ``ALERTS``; empty: use the series.
        step_secs: see `sidecar.backtest.run.choose_step`; None: the default.
        alertmanager: how alerts are sent.
        assume_pause: what observes only is simulated as if it paused when distressed.
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
