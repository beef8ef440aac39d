"""The values of the config, as the rest of the program uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.core.policy import PolicyTable
from sidecar.redis_access import RedisAccess

from .values_access import AuthConfig, Listener, TlsConfig
from .values_programs import AlertsConfig, EngineConfig, HookConfig, ImportConfig


@dataclass(frozen=True, slots=True)
class UiLink:
    """A link of the status page to another program.

    Attributes:
        name: the text of the link.
        url: its URL, with ``{scope}``, ``{alertname}`` and ``{fingerprint}`` in it.
    """

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """The limits.

    Attributes:
        max_scopes: known scopes.
        max_signals_per_scope: signals of one scope.
        max_tombstones: tombstones of ended alerts; above this the oldest are removed.
        max_clients: clients whose reports are stored separately.
        max_waiters: gate requests that are parked at the same time.
        max_waiters_per_scope: gate requests that are parked at one gate.
        max_watchers: watch requests that are parked at the same time.
        max_event_streams: open event streams.
        max_connections: open connections.
        max_header_bytes: bytes of a request's head.
        max_body_bytes: bytes of a request's body.
        max_alerts_per_notification: alerts in one webhook notification.
        max_labels_per_alert: labels of one alert.
        max_label_bytes: bytes of one label value.
        max_auth_failures_per_minute: failed authentications per address and minute.
        header_timeout_secs: seconds to receive a request's head after its first byte.
        body_timeout_secs: seconds to receive a request's body.
        write_timeout_secs: seconds until a client must have read a response.
    """

    max_scopes: int = 20_000
    max_signals_per_scope: int = 1_000
    max_tombstones: int = 50_000
    max_clients: int = 10_000
    max_waiters: int = 20_000
    max_waiters_per_scope: int = 20_000
    max_watchers: int = 20_000
    max_event_streams: int = 1_000
    max_connections: int = 50_000
    max_header_bytes: int = 16_384
    max_body_bytes: int = 16_777_216
    max_alerts_per_notification: int = 10_000
    max_labels_per_alert: int = 128
    max_label_bytes: int = 8_192
    max_auth_failures_per_minute: int = 60
    header_timeout_secs: float = 10.0
    body_timeout_secs: float = 30.0
    write_timeout_secs: float = 30.0


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the state is stored.

    Attributes:
        url: ``memory:``, ``sqlite:PATH`` or the address of a Redis.
        on_corrupt: if the file is damaged, ``refuse`` to start, or ``quarantine`` it and start with an empty
            one.
        history_max_entries: maximum number of history entries.
        history_max_age_secs: maximum age of history entries in seconds.
    """

    url: str = field(default="sqlite:wellbeing.db", repr=False)
    on_corrupt: str = "refuse"
    history_max_entries: int = 100_000
    history_max_age_secs: float = 2_592_000.0


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """What the metrics contain.

    Attributes:
        scopes: ``all`` scopes, or the ``own`` scopes that this sidecar was asked about or decided on.
    """

    scopes: str = "all"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be configured.

    Attributes:
        listen: the addresses, at least one.
        auth: authentication and authorization.
        tls: TLS settings; None: no TLS.
        store: where the state is stored.
        redis: how Redis is reached.
        metrics: what the metrics contain.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``console`` or ``json``.
        scope_idle_secs: seconds after which a scope without signals, holds and waiters is forgotten.
        policies: the policies of scopes.
        alerts: how alerts become signals.
        limits: the limits.
        engines: engines that are paused and resumed together with a gate.
        imports: controllers whose counts and state are imported.
        hooks: HTTP endpoints that receive events.
        external_url: URL at which people reach the sidecar; empty: the first address that it listens on.
        ui_links: links of the status page to other programs.
        locations: ``FILE:LINE`` of ``defaults``, ``policies[0]``, ``alerts.rules[0]`` and so on.
    """

    listen: tuple[Listener, ...] = (Listener("127.0.0.1:9477"),)
    auth: AuthConfig = field(default_factory=AuthConfig)
    tls: TlsConfig | None = None
    store: StoreConfig = field(default_factory=StoreConfig)
    redis: RedisAccess = field(default_factory=RedisAccess)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    log_level: str = "info"
    log_format: str = "console"
    scope_idle_secs: float = 86_400.0
    policies: PolicyTable = field(default_factory=PolicyTable)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    engines: tuple[EngineConfig, ...] = ()
    imports: tuple[ImportConfig, ...] = ()
    hooks: tuple[HookConfig, ...] = ()
    external_url: str = ""
    ui_links: tuple[UiLink, ...] = ()
    locations: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
