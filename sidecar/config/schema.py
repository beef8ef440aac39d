"""Every key of the config: its type, its default, what it is for. All in one place."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.policy import Policy

from .checks import (
    Check,
    bcrypt_hash,
    boolean,
    count,
    listeners,
    matchers,
    members,
    name,
    one_of,
    path,
    positive_seconds,
    rate,
    roles,
    scope,
    seconds,
    sha256,
    store,
    text,
    texts,
    url,
    urls,
)
from .values import AlertsConfig, Config, ImportFields, LimitsConfig, StoreConfig, TlsConfig


@dataclass(frozen=True, slots=True)
class Key:
    """A key that has a value of its own.

    Attributes:
        check: makes the value, or raises `ValueError`.
        kind: the type in a word or two.
        default: None: required.
        description: a line for the reference.
    """

    check: Check
    kind: str
    default: object
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """A key that has keys.

    Attributes:
        keys: by name.
        short: the key that is meant where a plain value stands in place of the section.
    """

    keys: dict[str, Key | Section | Items]
    short: str | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """A key that has a list of sections."""

    section: Section
    description: str


_POLICY = Policy()
_POLICY_KEYS: dict[str, Key | Section | Items] = {
    "enabled": Key(
        boolean,
        "boolean",
        _POLICY.enabled,
        "off: signals are ignored and the gate is open, whatever holds exist",
    ),
    "pause_on_distressed": Key(
        boolean, "boolean", _POLICY.pause_on_distressed, "a distressed own state closes the gate"
    ),
    "pause_on_concerned": Key(
        boolean,
        "boolean",
        _POLICY.pause_on_concerned,
        "a concerned own state does, and so a distressed one too",
    ),
    "max_pause_secs": Key(
        seconds, "seconds", _POLICY.max_pause_secs, "a hold ends by itself after this long; 0: never"
    ),
    "wait_timeout_secs": Key(
        seconds,
        "seconds",
        _POLICY.wait_timeout_secs,
        "a gate request waits this long by default, and at most",
    ),
    "min_pause_secs": Key(
        seconds,
        "seconds",
        _POLICY.min_pause_secs,
        "the policy's hold is kept at least this long; 0: recover at once",
    ),
    "resume_ramp_per_sec": Key(
        rate, "number", _POLICY.resume_ramp_per_sec, "parked waiters let through a second; 0: all at once"
    ),
}
_CONFIG, _ALERTS, _LIMITS, _STORE = Config(), AlertsConfig(), LimitsConfig(), StoreConfig()

_WATCHDOG, _ASKED = _ALERTS.watchdog, _ALERTS.alertmanager
_WATCHDOG_KEYS: dict[str, Key | Section | Items] = {
    "alertname": Key(text, "text", "", "an alert that always fires; empty: no dead man's switch"),
    "timeout_secs": Key(
        positive_seconds, "seconds", _WATCHDOG.timeout_secs, "without it for this long the sidecar is blind"
    ),
    "grace_secs": Key(
        seconds,
        "seconds",
        _WATCHDOG.grace_secs,
        "this long after it is back, what was resolved meanwhile is believed",
    ),
    "state": Key(
        one_of("", "cautious", "concerned", "distressed"),
        "state",
        "",
        "what is claimed while blind; empty: nothing",
    ),
    "scope": Key(scope, "scope", "", "of which scope; the root by default"),
}
_ALERTMANAGER_KEYS: dict[str, Key | Section | Items] = {
    "receiver": Key(text, "text", "", "only what goes to this receiver is asked for and judged; empty: all"),
    "filter": Key(matchers, "list of matchers", (), "only what these match is asked for and judged"),
    "count_suppressed": Key(
        boolean, "boolean", _ASKED.count_suppressed, "silenced and inhibited alerts count as firing"
    ),
    "min_uptime_secs": Key(
        seconds, "seconds", _ASKED.min_uptime_secs, "what is absent counts only once it has run for this long"
    ),
    "timeout_secs": Key(positive_seconds, "seconds", _ASKED.timeout_secs, "how long to wait for an answer"),
    "username": Key(text, "text", "", "for basic authentication"),
    "password": Key(text, "text", "", "its password; better in a file"),
    "password_file": Key(text, "path", "", "the file with the password, read for every request"),
    "bearer_token": Key(text, "text", "", "a token; better in a file"),
    "bearer_token_file": Key(text, "path", "", "the file with the token, read for every request"),
    "ca_file": Key(text, "path", "", "whom to trust; empty: whom the system trusts"),
    "cert_file": Key(text, "path", "", "the client's certificate"),
    "key_file": Key(text, "path", "", "its key"),
    "insecure_skip_verify": Key(
        boolean, "boolean", _ASKED.insecure_skip_verify, "trust anybody's certificate"
    ),
}

_HOOK_KEYS: dict[str, Key | Section | Items] = {
    "method": Key(one_of("POST", "PUT", "PATCH", "GET", "DELETE"), "word", "POST", "of HTTP"),
    "path": Key(path, "path", "", "behind the engine's URL"),
    "body": Key(members, "mapping", (), "sent as JSON"),
}
_ENGINE_KEYS: dict[str, Key | Section | Items] = {
    "scope": Key(scope, "scope", None, "whose gate turns it"),
    "kind": Key(one_of("vllm", "sglang", "ray", "http"), "word", None, "what it is; http: anything else"),
    "url": Key(url, "URL", None, "where it is"),
    "name": Key(name, "name", "", "for log, history and metrics; by default its URL without credentials"),
    "mode": Key(
        one_of("", "keep", "wait", "abort", "in_place", "retract"),
        "word",
        "",
        "of its pause: keep, wait, abort (vllm, ray), in_place, retract, abort (sglang); "
        "by default keep or in_place, which keep what runs",
    ),
    "model": Key(text, "text", "", "which one, behind Ray Serve LLM"),
    "timeout_secs": Key(positive_seconds, "seconds", 10.0, "how long to wait for an answer"),
    "check_secs": Key(positive_seconds, "seconds", 10.0, "how often it is asked whether it still agrees"),
    "bearer_token": Key(text, "text", "", "a token; better in a file"),
    "bearer_token_file": Key(text, "path", "", "the file with the token, read for every request"),
    "ca_file": Key(text, "path", "", "whom to trust; empty: whom the system trusts"),
    "pause": Section(_HOOK_KEYS),
    "resume": Section(_HOOK_KEYS),
    "asked_path": Key(path, "path", "", "of http: tells whether it is paused; empty: it cannot be asked"),
    "asked_member": Key(text, "text", "is_paused", "of http: where the answer says so, by dotted path"),
}

_FIELDS = ImportFields()
_IMPORT_KEYS: dict[str, Key | Section | Items] = {
    "scope": Key(scope, "scope", None, "whose counts and state they become"),
    "url": Key(url, "URL", None, "answers with JSON"),
    "name": Key(name, "name", "", "for log and metrics, and of the claim; by default import"),
    "interval_secs": Key(positive_seconds, "seconds", 10.0, "how often it is asked"),
    "timeout_secs": Key(positive_seconds, "seconds", 5.0, "how long to wait for an answer"),
    "username": Key(text, "text", "", "for basic authentication"),
    "password": Key(text, "text", "", "its password"),
    "bearer_token": Key(text, "text", "", "a token; better in a file"),
    "bearer_token_file": Key(text, "path", "", "the file with the token, read for every request"),
    "ca_file": Key(text, "path", "", "whom to trust; empty: whom the system trusts"),
    "fields": Section(
        {
            name: Key(text, "dotted path", getattr(_FIELDS, name), description)
            for name, description in {
                "interventions_total": "where the answer has it; empty: nowhere",
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

_TLS = TlsConfig()
_CREDENTIAL_KEYS: dict[str, Key | Section | Items] = {
    "name": Key(name, "name", None, "the actor in log and history"),
    "roles": Key(roles, "list of roles", None, "worker, agent, webhook, viewer, operator"),
    "scope": Key(scope, "scope", "", "what they may do, they may do in this scope and inside it alone"),
    "token_file": Key(text, "path", "", "the file with a bearer token; read anew when it changes"),
    "token_env": Key(text, "variable", "", "the variable with a bearer token"),
    "token_sha256": Key(sha256, "hex", "", "the SHA-256 of a bearer token"),
    "username": Key(text, "text", "", "for basic authentication, with password_bcrypt"),
    "password_bcrypt": Key(bcrypt_hash, "hash", "", "the password's hash"),
    "certificate": Key(text, "text", "", "the common name or an alternative name of a client's certificate"),
}

_LIMIT_KEYS: dict[str, Key | Section | Items] = {
    word: Key(
        positive_seconds if word.endswith("_secs") else count,
        "seconds" if word.endswith("_secs") else "number",
        getattr(_LIMITS, word),
        description,
    )
    for word, description in {
        "max_scopes": "scopes that may be known",
        "max_signals_per_scope": "signals that a scope may have",
        "max_tombstones": "ended alerts that are remembered for 15 minutes, so that an older notification is "
        "known to be stale; beyond it the oldest are forgotten",
        "max_clients": "clients that may report",
        "max_waiters": "gate requests that may be parked at once",
        "max_waiters_per_scope": "of them, at one gate",
        "max_watchers": "watches that may be parked at once",
        "max_event_streams": "event streams that may be open at once",
        "max_connections": "open connections",
        "max_header_bytes": "bytes of a request's head",
        "max_body_bytes": "bytes of a request's body",
        "max_alerts_per_notification": "alerts in one notification",
        "max_labels_per_alert": "labels of one alert",
        "max_label_bytes": "bytes of one label's value",
        "max_auth_failures_per_minute": "wrong credentials of one address, before it is told to wait",
        "header_timeout_secs": "for a head that was begun to be whole",
        "body_timeout_secs": "for a body to be whole",
        "write_timeout_secs": "for a client to read what it asked for",
    }.items()
}

SCHEMA = Section(
    {
        "listen": Key(
            listeners,
            "address or list",
            tuple(one.address for one in _CONFIG.listen),
            "HOST:PORT, [V6]:PORT or unix:/path; or sections with address, roles (what may be done there "
            "without a credential), tls (false: not there) and mode (of a Unix socket)",
        ),
        "auth": Section(
            {
                "insecure": Key(
                    boolean, "boolean", False, "let anybody who reaches the sidecar do as its listener allows"
                ),
                "credentials": Items(Section(_CREDENTIAL_KEYS), "who may do what, and how they are known"),
            }
        ),
        "tls": Section(
            {
                "cert_file": Key(
                    text, "path", "", "the certificate and its chain; read anew when it changes"
                ),
                "key_file": Key(text, "path", "", "its key"),
                "client_ca_file": Key(
                    text, "path", "", "who certifies clients; empty: they are not asked for a certificate"
                ),
                "client_auth": Key(
                    one_of("request", "require"), "word", _TLS.client_auth, "ask for a certificate, or insist"
                ),
                "min_version": Key(one_of("1.2", "1.3"), "version", _TLS.min_version, "of TLS; in quotes"),
            }
        ),
        "store": Section(
            {
                "url": Key(store, "store", _STORE.url, "where the state is kept: memory: or sqlite:PATH"),
                "on_corrupt": Key(
                    one_of("refuse", "quarantine"),
                    "word",
                    _STORE.on_corrupt,
                    "a damaged file: refuse to start, or set it aside and start afresh",
                ),
                "history_max_entries": Key(
                    count, "number", _STORE.history_max_entries, "entries of the history that are kept"
                ),
                "history_max_age_secs": Key(
                    positive_seconds, "seconds", _STORE.history_max_age_secs, "how old they may get"
                ),
            },
            short="url",
        ),
        "log_level": Key(
            one_of("debug", "info", "warning", "error"), "word", _CONFIG.log_level, "the least that is logged"
        ),
        "log_format": Key(
            one_of("console", "json"), "word", _CONFIG.log_format, "for people or for programs"
        ),
        "scope_idle_secs": Key(
            positive_seconds,
            "seconds",
            _CONFIG.scope_idle_secs,
            "a scope without signal, hold or waiter is forgotten after this long",
        ),
        "defaults": Section(_POLICY_KEYS),
        "policies": Items(
            Section(
                {
                    "match": Key(scope, "scope", None, "the scope it counts for, and all inside"),
                    **_POLICY_KEYS,
                }
            ),
            "the first whose match holds decides; keys it does not set are those of defaults",
        ),
        "alerts": Section(
            {
                "rules": Items(
                    Section(
                        {
                            "matchers": Key(
                                texts, "list of text", (), "all have to hold, as in Alertmanager"
                            ),
                            "state": Key(text, "state", None, "what is claimed, or ignore"),
                            "scope": Key(texts, "list of text", (), "labels whose values make the scope"),
                            "reason": Key(
                                text, "template", "", "{labels.NAME} and {annotations.NAME} are filled in"
                            ),
                        }
                    ),
                    "the first that matches decides; in place of the built-in ones",
                ),
                "alert_ttl_secs": Key(
                    positive_seconds,
                    "seconds",
                    _ALERTS.alert_ttl_secs,
                    "an alert that is not repeated counts no more after this long; "
                    "keep it above Alertmanager's repeat_interval",
                ),
                "alertmanager_urls": Key(
                    urls,
                    "list of URLs",
                    (),
                    "one Alertmanager, or the members of one cluster: any that answers serves",
                ),
                "reconcile_secs": Key(
                    positive_seconds, "seconds", _ALERTS.reconcile_secs, "how often it is asked what fires"
                ),
                "alertmanager": Section(_ALERTMANAGER_KEYS),
                "watchdog": Section(_WATCHDOG_KEYS),
                "hold_while_blind": Key(
                    boolean,
                    "boolean",
                    _ALERTS.hold_while_blind,
                    "a resolve lifts nothing while the watchdog is silent",
                ),
            }
        ),
        "engines": Items(Section(_ENGINE_KEYS), "engines whose own switch is turned with a gate"),
        "imports": Items(Section(_IMPORT_KEYS), "controllers elsewhere whose counts and state count here"),
        "limits": Section(_LIMIT_KEYS),
    }
)


def describe(section: Section = SCHEMA, prefix: str = "") -> list[tuple[str, str, object, str]]:
    """Every key with its type, default and description; items of lists as ``policies[].match``."""
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
