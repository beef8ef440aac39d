"""The schema of the config: type, default and description of every key."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.policy import DENY_STATUSES, Policy

from .checks import (
    Check,
    bcrypt_hash,
    boolean,
    count,
    endpoint,
    field_name,
    header_fields,
    hook_events,
    hook_name,
    link_name,
    link_template,
    listeners,
    matchers,
    media_type,
    members,
    name,
    natural,
    one_number_of,
    one_of,
    path,
    positive_seconds,
    rate,
    redis_prefix,
    restrict,
    roles,
    scope,
    seconds,
    sha256,
    share,
    store,
    text,
    texts,
    time_intervals,
    trial_requests,
    url,
    urls,
)
from .values import (
    AlertsConfig,
    Config,
    HookConfig,
    ImportFields,
    LimitsConfig,
    MetricsConfig,
    RedisConfig,
    StoreConfig,
    TlsConfig,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key with a plain value.

    Attributes:
        check: converts the value, or raises `ValueError`.
        kind: the type, in one or two words.
        default: the default; None: the key is required.
        description: one line for the reference.
    """

    check: Check
    kind: str
    default: object
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """A key with nested keys.

    Attributes:
        keys: the keys by name.
        short: the key that gets the value if the config has a plain value instead of the section.
    """

    keys: dict[str, Key | Section | SectionList]
    short: str | None = None


@dataclass(frozen=True, slots=True)
class SectionList:
    """A key with a list of sections."""

    section: Section
    description: str


_POLICY = Policy()
_POLICY_KEYS: dict[str, Key | Section | SectionList] = {
    "enabled": Key(
        boolean,
        "boolean",
        _POLICY.enabled,
        "false: signals are ignored, and the gate is open even if there are holds",
    ),
    "dry_run": Key(
        boolean,
        "boolean",
        _POLICY.dry_run,
        "true: holds that would close the gate are only advised; metrics, status and history show them",
    ),
    "pause_on_distressed": Key(
        boolean,
        "boolean",
        _POLICY.pause_on_distressed,
        "a distressed own state closes the gate; false: it is advised",
    ),
    "pause_on_concerned": Key(
        boolean,
        "boolean",
        _POLICY.pause_on_concerned,
        "a concerned or distressed own state closes the gate",
    ),
    "max_pause_secs": Key(seconds, "duration", _POLICY.max_pause_secs, "a hold ends after this; 0: never"),
    "wait_timeout_secs": Key(
        seconds,
        "duration",
        _POLICY.wait_timeout_secs,
        "how long a gate request waits, by default and at most",
    ),
    "min_pause_secs": Key(
        seconds,
        "duration",
        _POLICY.min_pause_secs,
        "minimum duration of an auto hold; 0: it ends on recovery",
    ),
    "resume_ramp_per_sec": Key(
        rate,
        "number",
        _POLICY.resume_ramp_per_sec,
        "waiting requests admitted per second after a resume; 0: all at once",
    ),
    "restrict": Key(
        restrict,
        "mapping",
        {},
        "requests per second that are admitted at an own state, if nothing closes the gate: a mapping of "
        "cautious, concerned and distressed to numbers above 0. A worse state without a number has that of "
        "the next better one",
    ),
    "resume_trial": Section(
        {
            "requests": Key(
                trial_requests,
                "number",
                _POLICY.resume_trial.requests,
                "number of requests that are admitted first after a recovery; if one fails, the scope is "
                "paused again; 0: no trial",
            ),
            "secs": Key(
                positive_seconds,
                "duration",
                _POLICY.resume_trial.secs,
                "the gate opens after this time without a failure; after a failure the next trial begins "
                "after this time, then after twice the time, at most after max_pause_secs",
            ),
        }
    ),
    "max_paused_share": Key(
        share,
        "number",
        _POLICY.max_paused_share,
        "at most this share of the scopes directly inside (rounded up, at least one) is paused by policy at "
        "a time; a further pause is advised only; 0: any number",
    ),
    "resume": Key(
        one_of("auto", "manual"),
        "word",
        _POLICY.resume,
        "manual: a recovery does not lift the policy's pause, an operator does",
    ),
    "mute_time_intervals": Key(
        texts, "list of names", (), "in these time_intervals the policy's pauses are advised only"
    ),
    "active_time_intervals": Key(
        texts, "list of names", (), "outside of these time_intervals the policy's pauses are advised only"
    ),
    "deny_status": Key(
        one_number_of(*DENY_STATUSES),
        "number",
        _POLICY.deny_status,
        "HTTP status of a refusal at a closed gate, for proxies: 401, 403, 429 or 503",
    ),
}
_CONFIG, _ALERTS, _LIMITS, _STORE = Config(), AlertsConfig(), LimitsConfig(), StoreConfig()
_REDIS, _METRICS = RedisConfig(), MetricsConfig()

_WATCHDOG, _ALERTMANAGER = _ALERTS.watchdog, _ALERTS.alertmanager
_WATCHDOG_KEYS: dict[str, Key | Section | SectionList] = {
    "alertname": Key(text, "text", "", "name of an alert that always fires; empty: no dead man's switch"),
    "timeout_secs": Key(
        positive_seconds,
        "duration",
        _WATCHDOG.timeout_secs,
        "the sidecar is blind if the alert is not received for this long",
    ),
    "grace_secs": Key(
        seconds,
        "duration",
        _WATCHDOG.grace_secs,
        "after the alert is back, resolves received meanwhile are accepted after this",
    ),
    "state": Key(
        one_of("", "cautious", "concerned", "distressed"),
        "state",
        "",
        "state of a signal that is put while blind; empty: no signal",
    ),
    "scope": Key(scope, "scope", "", "scope of that signal (default: the root)"),
}
_ALERTMANAGER_KEYS: dict[str, Key | Section | SectionList] = {
    "receiver": Key(text, "text", "", "query only alerts of this receiver; empty: all"),
    "filter": Key(matchers, "list of matchers", (), "query only alerts that these match; empty: all"),
    "count_suppressed": Key(
        boolean, "boolean", _ALERTMANAGER.count_suppressed, "silenced and inhibited alerts count as firing"
    ),
    "min_uptime_secs": Key(
        seconds,
        "duration",
        _ALERTMANAGER.min_uptime_secs,
        "a missing alert counts as resolved only after Alertmanager has run this long",
    ),
    "timeout_secs": Key(positive_seconds, "duration", _ALERTMANAGER.timeout_secs, "timeout of a request"),
    "username": Key(text, "text", "", "user name for basic authentication"),
    "password": Key(text, "text", "", "password; a file is safer"),
    "password_file": Key(text, "path", "", "file with the password, read for every request"),
    "bearer_token": Key(text, "text", "", "bearer token; a file is safer"),
    "bearer_token_file": Key(text, "path", "", "file with the bearer token, read for every request"),
    "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
    "cert_file": Key(text, "path", "", "client certificate (PEM)"),
    "key_file": Key(text, "path", "", "private key of the certificate (PEM)"),
    "insecure_skip_verify": Key(
        boolean, "boolean", _ALERTMANAGER.insecure_skip_verify, "do not verify the certificate"
    ),
}

_ENGINE_REQUEST_KEYS: dict[str, Key | Section | SectionList] = {
    "method": Key(one_of("POST", "PUT", "PATCH", "GET", "DELETE"), "word", "POST", "HTTP method"),
    "path": Key(path, "path", "", "path that is appended to the engine's URL"),
    "body": Key(members, "mapping", (), "body, sent as JSON; empty: no body"),
}
_ENGINE_KEYS: dict[str, Key | Section | SectionList] = {
    "scope": Key(scope, "scope", None, "scope whose gate pauses the engine"),
    "kind": Key(
        one_of("vllm", "sglang", "ray", "litellm", "dynamo", "http"),
        "word",
        None,
        "kind of engine; dynamo: one worker; http: any other",
    ),
    "url": Key(url, "URL", None, "URL of the engine"),
    "name": Key(name, "name", "", "name in log, history and metrics (default: host and port of the URL)"),
    "mode": Key(
        one_of("", "keep", "wait", "abort", "in_place", "retract"),
        "word",
        "",
        "pause mode of the engine: keep, wait, abort (vllm, ray); in_place, retract, abort (sglang); dynamo: "
        "keep, wait, abort (vLLM), in_place, retract (SGLang) "
        "(default: keep or in_place, which keep running requests)",
    ),
    "model": Key(text, "text", "", "ray: the model; litellm: a model group, or the id of a deployment"),
    "sleep_after_secs": Key(
        seconds,
        "duration",
        0.0,
        "vllm only: how long a pause lasts until the engine sleeps, which frees its GPU's memory; 0: never",
    ),
    "timeout_secs": Key(positive_seconds, "duration", 10.0, "timeout of a request"),
    "check_secs": Key(
        positive_seconds, "duration", 10.0, "how often the sidecar asks the engine whether it is paused"
    ),
    "bearer_token": Key(text, "text", "", "bearer token; a file is safer"),
    "bearer_token_file": Key(text, "path", "", "file with the bearer token, read for every request"),
    "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
    "pause": Section(_ENGINE_REQUEST_KEYS),
    "resume": Section(_ENGINE_REQUEST_KEYS),
    "asked_path": Key(path, "path", "", "http only: path that returns whether it is paused; empty: none"),
    "asked_member": Key(text, "text", "is_paused", "http only: member of that response, as a dotted path"),
}

_FIELDS = ImportFields()
_IMPORT_KEYS: dict[str, Key | Section | SectionList] = {
    "scope": Key(scope, "scope", None, "scope that gets the counts and the state"),
    "url": Key(url, "URL", None, "URL that returns JSON"),
    "name": Key(name, "name", "", "name in log and metrics, and source of the signal (default: import)"),
    "interval_secs": Key(positive_seconds, "duration", 10.0, "how often it is queried"),
    "timeout_secs": Key(positive_seconds, "duration", 5.0, "timeout of a request"),
    "username": Key(text, "text", "", "user name for basic authentication"),
    "password": Key(text, "text", "", "password for basic authentication"),
    "bearer_token": Key(text, "text", "", "bearer token; a file is safer"),
    "bearer_token_file": Key(text, "path", "", "file with the bearer token, read for every request"),
    "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
    "fields": Section(
        {
            name: Key(text, "dotted path", getattr(_FIELDS, name), description)
            for name, description in {
                "interventions_total": "member of the response; empty: none",
                "pauses_total": "the same",
                "resumes_total": "the same",
                "requests_total": "the same; it may be missing",
                "requests_blocked": "the same",
                "requests_waited": "the same",
                "requests_timed_out": "the same",
                "current_pause_duration_secs": "the same; it may be missing",
                "paused": "true or false; it may be missing",
                "state": "a wellbeing state; it may be missing",
                "reason": "of the state; it may be missing",
            }.items()
        }
    ),
}

_HOOK = HookConfig("")
_HOOK_KEYS: dict[str, Key | Section | SectionList] = {
    "name": Key(hook_name, "name", None, "name in log and metrics; unique"),
    "url": Key(endpoint, "URL", "", "URL of the endpoint; for grafana the URL of Grafana"),
    "url_file": Key(
        text, "path", "", "file with the URL instead, read for every request, for a URL that is a secret"
    ),
    "events": Key(
        hook_events, "list of events", _HOOK.events, "events that the endpoint receives (default: all)"
    ),
    "scope": Key(
        scope, "scope", "", "only events that concern this scope, or scopes inside it (default: all)"
    ),
    "format": Key(
        one_of("cloudevents", "slack", "grafana", "template"),
        "word",
        _HOOK.format,
        "cloudevents: CloudEvents 1.0 in JSON; slack: a message; grafana: annotations; "
        "template: the body is a template",
    ),
    "template": Key(text, "template", "", "template only: Jinja2 template of the body"),
    "content_type": Key(media_type, "text", _HOOK.content_type, "template only: content type of the body"),
    "method": Key(one_of("POST", "PUT", "PATCH"), "word", _HOOK.method, "template only: HTTP method"),
    "tags": Key(texts, "list of text", _HOOK.tags, "grafana only: tags of each annotation"),
    "headers": Key(
        header_fields, "mapping", (), "further header fields; put a secret into token_file instead"
    ),
    "token_file": Key(text, "path", "", "file with a token, read for every request"),
    "token_header": Key(
        field_name,
        "name",
        _HOOK.token_header,
        "header field of the token; Authorization: as a bearer token; another field: the token alone",
    ),
    "username": Key(text, "text", "", "user name for basic authentication"),
    "password_file": Key(text, "path", "", "file with the password, read for every request"),
    "timeout_secs": Key(positive_seconds, "duration", _HOOK.timeout_secs, "timeout of a request"),
    "max_pending": Key(
        count,
        "number",
        _HOOK.max_pending,
        "maximum number of waiting events; above it the oldest are dropped",
    ),
    "proxy_url": Key(
        endpoint, "URL", "", "proxy (default: HTTPS_PROXY and the like, except for loopback addresses)"
    ),
    "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
    "cert_file": Key(text, "path", "", "client certificate (PEM)"),
    "key_file": Key(text, "path", "", "private key of the certificate (PEM)"),
    "insecure_skip_verify": Key(
        boolean, "boolean", _HOOK.insecure_skip_verify, "do not verify the certificate"
    ),
}

_TLS = TlsConfig()
_CREDENTIAL_KEYS: dict[str, Key | Section | SectionList] = {
    "name": Key(name, "name", None, "actor in log and history"),
    "roles": Key(roles, "list of roles", None, "worker, agent, webhook, viewer, operator"),
    "scope": Key(
        scope, "scope", "", "the roles apply to this scope and the scopes inside it (default: the root)"
    ),
    "token_file": Key(text, "path", "", "file with a bearer token; read again when it changes"),
    "token_env": Key(text, "variable", "", "environment variable with a bearer token"),
    "token_sha256": Key(sha256, "hex", "", "SHA-256 of a bearer token"),
    "username": Key(text, "text", "", "user name for basic authentication; needs password_bcrypt"),
    "password_bcrypt": Key(bcrypt_hash, "hash", "", "bcrypt hash of the password"),
    "certificate": Key(text, "text", "", "common name or subject alternative name of a client certificate"),
}

_LIMIT_KEYS: dict[str, Key | Section | SectionList] = {
    word: Key(
        positive_seconds if word.endswith("_secs") else count,
        "duration" if word.endswith("_secs") else "number",
        getattr(_LIMITS, word),
        description,
    )
    for word, description in {
        "max_scopes": "known scopes",
        "max_signals_per_scope": "signals of one scope",
        "max_tombstones": "ended alerts that are remembered for 15 minutes, so that an older notification is "
        "known to be stale; above the limit the oldest are forgotten",
        "max_clients": "clients that report counts",
        "max_waiters": "gate requests that wait at the same time",
        "max_waiters_per_scope": "gate requests that wait at one gate",
        "max_watchers": "watch requests that wait at the same time",
        "max_event_streams": "open event streams",
        "max_connections": "open connections",
        "max_header_bytes": "bytes of a request's head",
        "max_body_bytes": "bytes of a request's body",
        "max_alerts_per_notification": "alerts in one notification",
        "max_labels_per_alert": "labels of one alert",
        "max_label_bytes": "bytes of one label value",
        "max_auth_failures_per_minute": "failed authentications per address and minute; further ones get 429",
        "header_timeout_secs": "timeout for receiving a request's head",
        "body_timeout_secs": "timeout for receiving a request's body",
        "write_timeout_secs": "timeout for sending a response",
    }.items()
}

SCHEMA = Section(
    {
        "listen": Key(
            listeners,
            "address or list",
            tuple(one.address for one in _CONFIG.listen),
            "HOST:PORT, [V6]:PORT or unix:/path; or sections with address, roles (allowed without a "
            "credential), tls (false: no TLS) and mode (file mode of a Unix socket)",
        ),
        "auth": Section(
            {
                "insecure": Key(
                    boolean,
                    "boolean",
                    False,
                    "allow requests from other machines without a credential",
                ),
                "credentials": SectionList(Section(_CREDENTIAL_KEYS), "credentials and their roles"),
            }
        ),
        "tls": Section(
            {
                "cert_file": Key(
                    text, "path", "", "certificate with its chain (PEM); read again when it changes"
                ),
                "key_file": Key(text, "path", "", "private key of the certificate (PEM)"),
                "client_ca_file": Key(
                    text,
                    "path",
                    "",
                    "CA bundle for client certificates; empty: no client certificates are requested",
                ),
                "client_auth": Key(
                    one_of("request", "require"),
                    "word",
                    _TLS.client_auth,
                    "request a client certificate, or require it",
                ),
                "min_version": Key(
                    one_of("1.2", "1.3"), "version", _TLS.min_version, "minimum TLS version; in quotes"
                ),
            }
        ),
        "store": Section(
            {
                "url": Key(
                    store,
                    "store",
                    _STORE.url,
                    "where the state is kept: memory:, sqlite:PATH or redis://HOST:PORT",
                ),
                "on_corrupt": Key(
                    one_of("refuse", "quarantine"),
                    "word",
                    _STORE.on_corrupt,
                    "if the file is damaged: refuse to start, or move it away and start with an empty store",
                ),
                "history_max_entries": Key(
                    count, "number", _STORE.history_max_entries, "maximum number of history entries"
                ),
                "history_max_age_secs": Key(
                    positive_seconds,
                    "duration",
                    _STORE.history_max_age_secs,
                    "maximum age of history entries",
                ),
            },
            short="url",
        ),
        "redis": Section(
            {
                "username": Key(
                    text, "text", "", "ACL user (default: the one in the URL, else the default user)"
                ),
                "password": Key(text, "text", "", "password; a file or the environment is safer"),
                "password_file": Key(text, "path", "", "file with the password, read at each connection"),
                "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
                "cert_file": Key(text, "path", "", "client certificate (PEM)"),
                "key_file": Key(text, "path", "", "private key of the certificate (PEM)"),
                "prefix": Key(
                    redis_prefix,
                    "text",
                    _REDIS.prefix,
                    "begins the name of every key; sidecars with the same prefix are one fleet",
                ),
                "timeout_secs": Key(positive_seconds, "duration", _REDIS.timeout_secs, "timeout of one call"),
                "wait_replicas": Key(
                    natural,
                    "number",
                    _REDIS.wait_replicas,
                    "replicas that must have a command before it is acknowledged",
                ),
                "last_known_file": Key(
                    text,
                    "path",
                    _REDIS.last_known_file,
                    "file with the last known state, for a start without Redis; empty: none is kept",
                ),
            }
        ),
        "metrics": Section(
            {
                "scopes": Key(
                    one_of("own", "all"),
                    "word",
                    _METRICS.scopes,
                    "the scopes in /metrics: all, or those that this sidecar was asked about or decided on",
                ),
            }
        ),
        "log_level": Key(
            one_of("debug", "info", "warning", "error"),
            "word",
            _CONFIG.log_level,
            "minimum level that is logged",
        ),
        "log_format": Key(
            one_of("console", "json"), "word", _CONFIG.log_format, "log format: text lines or JSON"
        ),
        "scope_idle_secs": Key(
            positive_seconds,
            "duration",
            _CONFIG.scope_idle_secs,
            "a scope without signals, holds and waiters is forgotten after this",
        ),
        "defaults": Section(_POLICY_KEYS),
        "policies": SectionList(
            Section(
                {
                    "match": Key(
                        scope, "scope", None, "the policy applies to this scope and the scopes inside it"
                    ),
                    **_POLICY_KEYS,
                }
            ),
            "the first policy that matches decides; keys that it does not set come from defaults",
        ),
        "alerts": Section(
            {
                "rules": SectionList(
                    Section(
                        {
                            "matchers": Key(
                                texts, "list of text", (), "Alertmanager matchers; all must match"
                            ),
                            "state": Key(text, "state", None, "state of the signal, or ignore"),
                            "scope": Key(
                                texts, "list of text", (), "labels whose values are the segments of the scope"
                            ),
                            "reason": Key(
                                text, "template", "", "text with {labels.NAME} and {annotations.NAME}"
                            ),
                        }
                    ),
                    "the first rule that matches decides (default: the built-in rules)",
                ),
                "alert_ttl_secs": Key(
                    positive_seconds,
                    "duration",
                    _ALERTS.alert_ttl_secs,
                    "an alert that is not repeated expires after this; "
                    "keep it above Alertmanager's repeat_interval",
                ),
                "alertmanager_urls": Key(
                    urls,
                    "list of URLs",
                    (),
                    "one Alertmanager, or the members of one cluster",
                ),
                "reconcile_secs": Key(
                    positive_seconds,
                    "duration",
                    _ALERTS.reconcile_secs,
                    "how often Alertmanager is queried",
                ),
                "alertmanager": Section(_ALERTMANAGER_KEYS),
                "watchdog": Section(_WATCHDOG_KEYS),
                "hold_while_blind": Key(
                    boolean,
                    "boolean",
                    _ALERTS.hold_while_blind,
                    "a resolve ends no signal while the sidecar is blind",
                ),
            }
        ),
        "time_intervals": SectionList(
            Section(
                {
                    "name": Key(
                        text, "text", None, "name, for mute_time_intervals and active_time_intervals"
                    ),
                    "time_intervals": Key(
                        time_intervals, "list", None, "the intervals, in Alertmanager's syntax"
                    ),
                }
            ),
            "named time intervals",
        ),
        "engines": SectionList(
            Section(_ENGINE_KEYS), "engines that are paused by their own API while their gate is closed"
        ),
        "imports": SectionList(
            Section(_IMPORT_KEYS), "other controllers whose counts and state are imported"
        ),
        "hooks": SectionList(Section(_HOOK_KEYS), "HTTP endpoints that receive events"),
        "external_url": Key(
            endpoint,
            "URL",
            "",
            "URL at which people reach the sidecar, for links (default: the first address of listen)",
        ),
        "ui": Section(
            {
                "links": SectionList(
                    Section(
                        {
                            "name": Key(link_name, "text", None, "text of the link"),
                            "url": Key(
                                link_template,
                                "template",
                                None,
                                "URL with {scope}, {alertname} and {fingerprint} in it; with one of the last "
                                "two it is shown at each alert, else at each scope",
                            ),
                        }
                    ),
                    "links of the status page to Prometheus, Alertmanager, Grafana or runbooks",
                )
            }
        ),
        "limits": Section(_LIMIT_KEYS),
    }
)


def describe(section: Section = SCHEMA, prefix: str = "") -> list[tuple[str, str, object, str]]:
    """Every key with its type, default and description. Items of lists are named ``policies[].match``."""
    rows: list[tuple[str, str, object, str]] = []
    for word, key in section.keys.items():
        if isinstance(key, Key):
            rows.append((prefix + word, key.kind, key.default, key.description))
        elif isinstance(key, Section):
            rows += describe(key, f"{prefix}{word}.")
        else:
            rows.append((prefix + word, "list", (), key.description))
            rows += describe(key.section, f"{prefix}{word}[].")
    return rows
