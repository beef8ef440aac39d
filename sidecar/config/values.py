"""The config as the rest of the program knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sidecar.alerts import RuleSet
from sidecar.core.policy import PolicyTable

MIN_TOKEN_LENGTH = 16
"""Characters of a bearer token."""

ROLES = ("worker", "agent", "webhook", "viewer", "operator")


@dataclass(frozen=True, slots=True)
class WatchdogConfig:
    """The dead man's switch.

    Attributes:
        alertname: of an alert that always fires; empty: there is none, and the sidecar is never blind.
        timeout_secs: seconds without it until the sidecar is blind.
        grace_secs: seconds after it is back until resolves that came meanwhile count.
        state: of the signal that is put on ``scope`` while blind; empty: no signal.
        scope: the root by default.
    """

    alertname: str = ""
    timeout_secs: float = 600.0
    grace_secs: float = 300.0
    state: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class AlertmanagerConfig:
    """How Alertmanager is asked.

    Attributes:
        receiver: only what goes to this receiver is asked for, and judged; empty: everything.
        filter: only what these matchers match; empty: everything.
        count_suppressed: whether silenced and inhibited alerts count as firing.
        min_uptime_secs: an Alertmanager that runs for less may not have heard of every alert yet.
        timeout_secs: for an answer.
        username: for basic authentication, with one of the passwords.
        password: in the config itself.
        password_file: in a file, read at every request.
        bearer_token: in the config itself.
        bearer_token_file: in a file, read at every request.
        ca_file: CA bundle; empty: the system's trust store.
        cert_file: client certificate.
        key_file: its private key.
        insecure_skip_verify: do not verify the certificate.
    """

    receiver: str = ""
    filter: tuple[str, ...] = ()
    count_suppressed: bool = False
    min_uptime_secs: float = 300.0
    timeout_secs: float = 10.0
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    bearer_token: str = field(default="", repr=False)
    bearer_token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """How alerts become signals.

    Attributes:
        rules: the built-in ones where none are configured.
        alert_ttl_secs: seconds after which an alert that is not repeated expires.
        alertmanager_urls: of one Alertmanager, or of the members of one cluster.
        reconcile_secs: how often it is asked.
        alertmanager: how it is asked.
        watchdog: the dead man's switch.
        hold_while_blind: a resolve lifts nothing while the watchdog is silent.
    """

    rules: RuleSet = field(default_factory=RuleSet)
    alert_ttl_secs: float = 18_000.0
    alertmanager_urls: tuple[str, ...] = ()
    reconcile_secs: float = 60.0
    alertmanager: AlertmanagerConfig = field(default_factory=AlertmanagerConfig)
    watchdog: WatchdogConfig = field(default_factory=WatchdogConfig)
    hold_while_blind: bool = True


@dataclass(frozen=True, slots=True)
class EngineRequestConfig:
    """A request that turns an engine's switch.

    Attributes:
        method: of HTTP.
        path: behind the engine's URL.
        body: sent as JSON; None: no body.
    """

    method: str = "POST"
    path: str = ""
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """An engine whose own switch is turned with a gate.

    Attributes:
        name: for log, history and metrics.
        scope: whose gate.
        kind: ``vllm``, ``sglang``, ``ray`` or ``http``.
        url: of the engine.
        mode: of its pause; empty: the gentlest there is, which keeps what runs.
        model: which, behind Ray Serve LLM.
        timeout_secs: for an answer.
        check_secs: how often it is asked whether it still agrees.
        bearer_token: in the config itself.
        bearer_token_file: in a file, read at every request.
        ca_file: CA bundle; empty: the system's trust store.
        pause: of ``http``: pauses it.
        resume: of ``http``: resumes it.
        asked_path: of ``http``: what to GET to know whether it is paused; empty: it cannot be asked.
        asked_member: of ``http``: where the answer says so, by dotted path.
    """

    name: str
    scope: str
    kind: str
    url: str
    mode: str = ""
    model: str = ""
    timeout_secs: float = 10.0
    check_secs: float = 10.0
    bearer_token: str = field(default="", repr=False)
    bearer_token_file: str = ""
    ca_file: str = ""
    pause: EngineRequestConfig = field(default_factory=EngineRequestConfig)
    resume: EngineRequestConfig = field(default_factory=EngineRequestConfig)
    asked_path: str = ""
    asked_member: str = "is_paused"


@dataclass(frozen=True, slots=True)
class ImportFields:
    """Where an import's answer has what, by dotted path; empty: nowhere.

    The defaults are the names that a controller with metrics of its own has.
    """

    interventions_total: str = "interventions_total"
    pauses_total: str = "pauses_total"
    resumes_total: str = "resumes_total"
    requests_total: str = "requests_total"
    requests_blocked: str = "requests_blocked"
    requests_waited: str = "requests_waited"
    requests_timed_out: str = "requests_timed_out"
    current_pause_duration_secs: str = "current_pause_duration_secs"
    paused: str = "paused"
    state: str = "state"
    reason: str = "reason"


@dataclass(frozen=True, slots=True)
class ImportConfig:
    """A controller elsewhere whose counts and state are taken over.

    Attributes:
        name: for log and metrics, and of the claim.
        scope: whose they become.
        url: answers with JSON.
        interval_secs: how often it is asked.
        timeout_secs: for an answer.
        username: for basic authentication.
        password: its password.
        bearer_token: in the config itself.
        bearer_token_file: in a file, read at every request.
        ca_file: CA bundle; empty: the system's trust store.
        fields: where the answer has what.
    """

    name: str
    scope: str
    url: str
    interval_secs: float = 10.0
    timeout_secs: float = 5.0
    username: str = ""
    password: str = field(default="", repr=False)
    bearer_token: str = field(default="", repr=False)
    bearer_token_file: str = ""
    ca_file: str = ""
    fields: ImportFields = field(default_factory=ImportFields)


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """The limits.

    Attributes:
        max_scopes: scopes that may be known.
        max_signals_per_scope: signals that a scope may have.
        max_tombstones: ended alerts that are remembered; beyond it the oldest are forgotten.
        max_clients: clients whose reports are kept apart.
        max_waiters: gate requests that may be parked at once.
        max_waiters_per_scope: of them, at one gate.
        max_watchers: watches that may be parked at once.
        max_event_streams: event streams that may be open at once.
        max_connections: open connections.
        max_header_bytes: of a request's head.
        max_body_bytes: of a request's body.
        max_alerts_per_notification: alerts in one webhook notification.
        max_labels_per_alert: labels of one alert.
        max_label_bytes: of one label's value.
        max_auth_failures_per_minute: wrong credentials of one address, before it is told to wait.
        header_timeout_secs: for a head that was begun to be whole.
        body_timeout_secs: for a body to be whole.
        write_timeout_secs: for a client to read what it asked for.
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
class Listener:
    """Where the sidecar listens.

    Attributes:
        address: ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``.
        roles: what may be done here without a credential; None: everything where there are no credentials at
            all, else nothing.
        tls: whether TLS is spoken; None: where it is configured, but for Unix sockets.
        mode: of a Unix socket's file.
    """

    address: str
    roles: tuple[str, ...] | None = None
    tls: bool | None = None
    mode: int = 0o660

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith("unix:")

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine, or pod, can reach it."""
        host = self.address.rpartition(":")[0].strip("[]")
        return self.is_unix or host in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True, slots=True)
class CredentialConfig:
    """Who may do what, and how they are known: by one of token, password and certificate.

    Attributes:
        name: the actor in log and history.
        roles: what they may do.
        scope: where: in this scope and inside it.
        token_file: the file with the bearer token; read again when it changes.
        token_env: the variable with it.
        token_sha256: its SHA-256, in hex.
        username: for basic authentication.
        password_bcrypt: the password's hash.
        certificate: the common name or a subject alternative name of their certificate.
    """

    name: str
    roles: tuple[str, ...]
    scope: str = ""
    token_file: str = ""
    token_env: str = ""
    token_sha256: str = ""
    username: str = ""
    password_bcrypt: str = field(default="", repr=False)
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Who may do what.

    Attributes:
        insecure: listeners that other machines reach may need no credential.
        credentials: who may do what, and how they authenticate.
    """

    insecure: bool = False
    credentials: tuple[CredentialConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How TLS is spoken.

    Attributes:
        cert_file: the certificate and those between it and its root; read again when it changes.
        key_file: its key.
        client_ca_file: CA bundle for client certificates; empty: clients are not asked for one.
        client_auth: ``request`` one, or ``require`` it.
        min_version: ``1.2`` or ``1.3``.
    """

    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth: str = "request"
    min_version: str = "1.2"


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the state is kept.

    Attributes:
        url: ``memory:`` or ``sqlite:PATH``.
        on_corrupt: ``refuse`` to start on a damaged file, or ``quarantine`` it and start with an empty one.
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
        listen: where, at least once.
        auth: who may do what.
        tls: how TLS is spoken; None: it is not.
        store: where the state is kept.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``console`` or ``json``.
        scope_idle_secs: seconds after which a scope without signal, hold or waiter is forgotten.
        policies: what counts for which scope.
        alerts: how alerts become signals.
        limits: how much is too much.
        engines: whose own switches are turned with their gates.
        imports: controllers whose counts and state are taken over.
    """

    listen: tuple[Listener, ...] = (Listener("127.0.0.1:9477"),)
    auth: AuthConfig = field(default_factory=AuthConfig)
    tls: TlsConfig | None = None
    store: StoreConfig = field(default_factory=StoreConfig)
    log_level: str = "info"
    log_format: str = "console"
    scope_idle_secs: float = 86_400.0
    policies: PolicyTable = field(default_factory=PolicyTable)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    engines: tuple[EngineConfig, ...] = ()
    imports: tuple[ImportConfig, ...] = ()
