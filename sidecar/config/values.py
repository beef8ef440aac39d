"""The values of the config, as the rest of the program uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from sidecar.alerts import RuleSet
from sidecar.core.policy import PolicyTable

MIN_TOKEN_LENGTH = 16
"""Minimum number of characters of a bearer token."""

HOOK_EVENTS = (
    "pause", "resume", "advice", "advice_ended", "intervention", "blind", "sighted", "trial_failed",
    "store_down", "store_up",
)  # fmt: skip
"""The events that hooks can receive."""

ROLES = ("worker", "agent", "webhook", "viewer", "operator")


@dataclass(frozen=True, slots=True)
class WatchdogConfig:
    """The dead man's switch.

    Attributes:
        alertname: name of an alert that always fires; empty: no watchdog, the sidecar is never blind.
        timeout_secs: seconds without the alert until the sidecar is blind.
        grace_secs: seconds from the return of the alert until resolves that came meanwhile are accepted.
        state: state of the signal that is put in ``scope`` while blind; empty: no signal.
        scope: scope of that signal; the root by default.
    """

    alertname: str = ""
    timeout_secs: float = 600.0
    grace_secs: float = 300.0
    state: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class AlertmanagerConfig:
    """How Alertmanager is queried.

    Attributes:
        receiver: only alerts of this receiver are queried and reconciled; empty: all alerts.
        filter: only alerts that these matchers match are queried and reconciled; empty: all alerts.
        count_suppressed: whether silenced and inhibited alerts count as firing.
        min_uptime_secs: an Alertmanager that has run for less may not have received every alert yet.
        timeout_secs: timeout of a request in seconds.
        username: user name for basic authentication.
        password: its password.
        password_file: file with the password, read for every request.
        bearer_token: bearer token.
        bearer_token_file: file with the bearer token, read for every request.
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
        rules: the rules; the built-in ones if none are configured.
        alert_ttl_secs: seconds after which an alert that is not repeated expires.
        alertmanager_urls: URLs of one Alertmanager, or of the members of one cluster.
        reconcile_secs: seconds between two queries of Alertmanager.
        alertmanager: how Alertmanager is queried.
        watchdog: the dead man's switch.
        hold_while_blind: while the sidecar is blind, a resolve ends no signal.
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
    """A request that pauses or resumes an engine.

    Attributes:
        method: HTTP method.
        path: path that is appended to the engine's URL.
        body: body, sent as JSON; None: no body.
    """

    method: str = "POST"
    path: str = ""
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """An engine that is paused and resumed together with a gate.

    Attributes:
        name: name in log, history and metrics.
        scope: scope of the gate.
        kind: ``vllm``, ``sglang``, ``ray``, ``litellm``, ``dynamo`` or ``http``.
        url: URL of the engine.
        mode: pause mode; empty: the mode that keeps running requests.
        model: the model of Ray Serve LLM; a model group or deployment of LiteLLM.
        sleep_after_secs: seconds of a pause after which vLLM is put to sleep; 0: never.
        timeout_secs: timeout of a request in seconds.
        check_secs: seconds between two checks whether the engine is paused.
        bearer_token: bearer token.
        bearer_token_file: file with the bearer token, read for every request.
        ca_file: CA bundle; empty: the system's trust store.
        pause: for ``http``: the request that pauses the engine.
        resume: for ``http``: the request that resumes the engine.
        asked_path: for ``http``: path of a GET request that returns whether it is paused; empty: none.
        asked_member: for ``http``: dotted path of the member of that response.
    """

    name: str
    scope: str
    kind: str
    url: str
    mode: str = ""
    model: str = ""
    sleep_after_secs: float = 0.0
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
    """Dotted paths of the values in the response of an import; empty: the response does not have the value.

    The defaults are the member names that a controller with its own metrics uses.
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
    """Another controller whose counts and state are imported.

    Attributes:
        name: name in log and metrics, and in the source of the claim.
        scope: scope that gets the counts and the state.
        url: URL that returns JSON.
        interval_secs: seconds between two requests.
        timeout_secs: timeout of a request in seconds.
        username: user name for basic authentication.
        password: its password.
        bearer_token: bearer token.
        bearer_token_file: file with the bearer token, read for every request.
        ca_file: CA bundle; empty: the system's trust store.
        fields: dotted paths of the values in the response.
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
class HookConfig:
    """An HTTP endpoint that receives events.

    Attributes:
        name: name in log, metrics and store.
        url: URL of the endpoint; of Grafana itself for the format ``grafana``.
        url_file: file with the URL, read for every request; empty: ``url`` is set.
        events: the names of the events.
        scope: only events that concern this scope or scopes inside it.
        format: ``cloudevents``, ``slack``, ``grafana`` or ``template``.
        template: for ``template``: Jinja2 template of the body.
        content_type: for ``template``: content type of the body.
        method: for ``template``: HTTP method.
        tags: for ``grafana``: tags of each annotation.
        headers: further header fields.
        token_file: file with a token, read for every request.
        token_header: header field of the token; in ``Authorization`` it is a bearer token.
        username: user name for basic authentication.
        password_file: file with its password, read for every request.
        timeout_secs: timeout of a request in seconds.
        max_pending: the most events that wait; above this the oldest are dropped.
        proxy_url: proxy; empty: the one of the environment, if any.
        ca_file: CA bundle; empty: the system's trust store.
        cert_file: client certificate.
        key_file: its private key.
        insecure_skip_verify: do not verify the certificate.
    """

    name: str
    url: str = field(default="", repr=False)
    url_file: str = ""
    events: tuple[str, ...] = HOOK_EVENTS
    scope: str = ""
    format: str = "cloudevents"
    template: str = ""
    content_type: str = "application/json"
    method: str = "POST"
    tags: tuple[str, ...] = ("wellbeing",)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_file: str = ""
    token_header: str = "Authorization"  # noqa: S105 - a name
    username: str = ""
    password_file: str = ""
    timeout_secs: float = 10.0
    max_pending: int = 10_000
    proxy_url: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False


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
class Listener:
    """An address on which the sidecar listens.

    Attributes:
        address: ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``.
        roles: roles of clients without a credential; None: all roles if no credentials are configured, else
            none.
        tls: whether TLS is used; None: yes if it is configured, except on a Unix socket.
        mode: file mode of a Unix socket.
    """

    address: str
    roles: tuple[str, ...] | None = None
    tls: bool | None = None
    mode: int = 0o660

    @property
    def is_unix(self) -> bool:
        """Whether the address is a Unix socket."""
        return self.address.startswith("unix:")

    @property
    def is_local(self) -> bool:
        """Whether only this machine, or pod, can reach the address."""
        if self.is_unix:
            return True
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            # A name such as 127.example.com may be any machine.
            return host == "localhost" or _is_loopback(host)
        except ValueError:
            return False


def _is_loopback(host: str) -> bool:
    address = ip_address(host)
    # ::ffff:127.0.0.1 is 127.0.0.1, which Python 3.12 and earlier do not say.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@dataclass(frozen=True, slots=True)
class CredentialConfig:
    """A credential: a token, a password or a certificate, and what its owner may do.

    Attributes:
        name: the actor in log and history.
        roles: what the owner may do.
        scope: the roles apply to this scope and the scopes inside it.
        token_file: file with the bearer token; read again when it changes.
        token_env: environment variable with the bearer token.
        token_sha256: SHA-256 of the bearer token, in hex.
        username: user name for basic authentication.
        password_bcrypt: bcrypt hash of the password.
        certificate: common name or a subject alternative name of the client certificate.
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
    """Authentication and authorization.

    Attributes:
        insecure: allow requests from other machines without a credential.
        credentials: who may do what, and how they authenticate.
    """

    insecure: bool = False
    credentials: tuple[CredentialConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS settings of the listeners.

    Attributes:
        cert_file: certificate with its chain; read again when it changes.
        key_file: private key of the certificate.
        client_ca_file: CA bundle for client certificates; empty: no client certificates are requested.
        client_auth: ``request`` or ``require`` a client certificate.
        min_version: minimum TLS version, ``1.2`` or ``1.3``.
    """

    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth: str = "request"
    min_version: str = "1.2"


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
class RedisConfig:
    """How Redis is reached, if ``store.url`` names one.

    Attributes:
        username: the ACL user; empty: the one in the URL, else the default user.
        password: its password; empty: the one in the URL, if any.
        password_file: file with the password, read at each connection.
        ca_file: CA bundle; empty: the system's trust store.
        cert_file: client certificate.
        key_file: its private key.
        prefix: begins the name of every key; sidecars with the same prefix are one fleet.
        timeout_secs: timeout of one call.
        wait_replicas: replicas that must have a command before it is acknowledged.
        last_known_file: file with the last known state, for a start without Redis; empty: none is kept.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "wellbeing"
    timeout_secs: float = 2.0
    wait_replicas: int = 0
    last_known_file: str = "wellbeing-last-known.jsonl"


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """What the metrics contain.

    Attributes:
        scopes: ``all`` scopes, or the ``own`` ones: those that this sidecar was asked about or decided on.
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
    redis: RedisConfig = field(default_factory=RedisConfig)
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
