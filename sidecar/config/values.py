"""The config as the rest of the program knows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sidecar.alerts import RuleSet
from sidecar.core.policy import PolicyTable


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """How alerts become signals.

    Attributes:
        rules: the built-in ones where none are configured.
        alert_ttl_secs: seconds after which an alert that is not repeated counts no more.
    """

    rules: RuleSet = field(default_factory=RuleSet)
    alert_ttl_secs: float = 18_000.0


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """How much is too much.

    Attributes:
        max_scopes: scopes that may be known.
        max_waiters: gate requests and watches that may be parked at once.
        max_body_bytes: of a request.
        max_alerts_per_notification: alerts in one webhook notification.
    """

    max_scopes: int = 20_000
    max_waiters: int = 20_000
    max_body_bytes: int = 16_777_216
    max_alerts_per_notification: int = 10_000


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the state is kept.

    Attributes:
        url: ``memory:`` or ``sqlite:PATH``.
        on_corrupt: ``refuse`` to start on a damaged file, or ``quarantine`` it and start afresh.
        history_max_entries: the newest so many entries of the history are kept.
        history_max_age_secs: and none older.
    """

    url: str = "sqlite:wellbeing.db"
    on_corrupt: str = "refuse"
    history_max_entries: int = 100_000
    history_max_age_secs: float = 2_592_000.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be configured.

    Attributes:
        listen: ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``, at least one.
        store: where the state is kept.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``console`` or ``json``.
        scope_idle_secs: seconds after which a scope without signal, hold or waiter is forgotten.
        policies: what counts for which scope.
        alerts: how alerts become signals.
        limits: how much is too much.
    """

    listen: tuple[str, ...] = ("127.0.0.1:9477",)
    store: StoreConfig = field(default_factory=StoreConfig)
    log_level: str = "info"
    log_format: str = "console"
    scope_idle_secs: float = 86_400.0
    policies: PolicyTable = field(default_factory=PolicyTable)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
