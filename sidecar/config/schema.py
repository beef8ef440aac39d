"""The schema of the config: type, default and description of every key."""

from __future__ import annotations

from sidecar.redis_access import RedisAccess

from .checks import boolean, count, name, natural, one_of, positive_seconds, scope, text, texts
from .checks_listeners import listeners, roles
from .checks_rules import rule_matchers, rule_state, time_intervals
from .checks_secrets import bcrypt_hash, sha256
from .checks_urls import endpoint, link_name, link_template, redis_prefix, store, urls
from .keys import Key, Keys, Section, SectionList
from .schema_policy import POLICY_KEYS
from .schema_programs import ALERTMANAGER_KEYS, ENGINE_KEYS, HOOK_KEYS, IMPORT_KEYS, WATCHDOG_KEYS
from .values import Config, LimitsConfig, MetricsConfig, StoreConfig
from .values_access import TlsConfig
from .values_programs import AlertsConfig

_CONFIG, _ALERTS, _LIMITS, _STORE = Config(), AlertsConfig(), LimitsConfig(), StoreConfig()
_REDIS, _METRICS = RedisAccess(), MetricsConfig()
_TLS = TlsConfig()
_CREDENTIAL_KEYS: Keys = {
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

_LIMIT_KEYS: Keys = {
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
                    one_of("1.2", "1.3"), "version", _TLS.min_version, "minimum TLS version, in quotes"
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
                    "what to do if the file is damaged: refuse to start, or move it away and start with an "
                    "empty store",
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
                    "prefix of every key; sidecars with the same prefix form one fleet",
                ),
                "timeout_secs": Key(positive_seconds, "duration", _REDIS.timeout_secs, "timeout of one call"),
                "wait_replicas": Key(
                    natural,
                    "number",
                    _REDIS.wait_replicas,
                    "number of replicas that must confirm a command before it is acknowledged",
                ),
                "last_known_file": Key(
                    text,
                    "path",
                    _REDIS.last_known_file,
                    "file with the last known state, for a start without Redis; empty: no file",
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
        "defaults": Section(POLICY_KEYS),
        "policies": SectionList(
            Section(
                {
                    "match": Key(
                        scope, "scope", None, "the policy applies to this scope and the scopes inside it"
                    ),
                    **POLICY_KEYS,
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
                                rule_matchers, "list of matchers", (), "Alertmanager matchers; all must match"
                            ),
                            "state": Key(rule_state, "state", None, "state of the signal, or ignore"),
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
                "alertmanager": Section(ALERTMANAGER_KEYS),
                "watchdog": Section(WATCHDOG_KEYS),
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
            Section(ENGINE_KEYS), "engines that are paused by their own API while their gate is closed"
        ),
        "imports": SectionList(Section(IMPORT_KEYS), "other controllers whose counts and state are imported"),
        "hooks": SectionList(Section(HOOK_KEYS), "HTTP endpoints that receive events"),
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
