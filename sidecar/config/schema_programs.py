"""The schema of other programs: Alertmanager, engines, imports and hooks."""

from __future__ import annotations

from .checks import (
    boolean,
    count,
    hook_name,
    members,
    name,
    one_of,
    positive_seconds,
    scope,
    seconds,
    text,
    texts,
)
from .checks_rules import hook_events, matchers
from .checks_urls import endpoint, field_name, header_fields, media_type, path, url
from .keys import Key, Keys, Section
from .values_programs import AlertmanagerConfig, HookConfig, ImportFields, WatchdogConfig

_WATCHDOG, _ALERTMANAGER = WatchdogConfig(), AlertmanagerConfig()
WATCHDOG_KEYS: Keys = {
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
        "time from the alert's return until resolves that were received meanwhile are accepted",
    ),
    "state": Key(
        one_of("", "cautious", "concerned", "distressed"),
        "state",
        "",
        "state of a signal that is put while blind; empty: no signal",
    ),
    "scope": Key(scope, "scope", "", "scope of that signal (default: the root)"),
}
ALERTMANAGER_KEYS: Keys = {
    "receiver": Key(text, "text", "", "query only alerts of this receiver; empty: all"),
    "filter": Key(matchers, "list of matchers", (), "query only alerts that match these; empty: all"),
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

ENGINE_REQUEST_KEYS: Keys = {
    "method": Key(one_of("POST", "PUT", "PATCH", "GET", "DELETE"), "word", "POST", "HTTP method"),
    "path": Key(path, "path", "", "path that is appended to the engine's URL"),
    "body": Key(members, "mapping", (), "body, sent as JSON; empty: no body"),
}
ENGINE_KEYS: Keys = {
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
        "vllm only: the engine sleeps after this much time of a pause, which frees its GPU's memory; 0: "
        "never",
    ),
    "timeout_secs": Key(positive_seconds, "duration", 10.0, "timeout of a request"),
    "check_secs": Key(
        positive_seconds, "duration", 10.0, "how often the sidecar asks the engine whether it is paused"
    ),
    "bearer_token": Key(text, "text", "", "bearer token; a file is safer"),
    "bearer_token_file": Key(text, "path", "", "file with the bearer token, read for every request"),
    "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
    "pause": Section(ENGINE_REQUEST_KEYS),
    "resume": Section(ENGINE_REQUEST_KEYS),
    "asked_path": Key(path, "path", "", "http only: path that returns whether it is paused; empty: none"),
    "asked_member": Key(text, "text", "is_paused", "http only: member of that response, as a dotted path"),
}

_FIELDS = ImportFields()
IMPORT_KEYS: Keys = {
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
                "reason": "reason for the state; it may be missing",
            }.items()
        }
    ),
}

_HOOK = HookConfig("")
HOOK_KEYS: Keys = {
    "name": Key(hook_name, "name", None, "name in log and metrics; unique"),
    "url": Key(endpoint, "URL", "", "URL of the endpoint; for grafana the URL of Grafana"),
    "url_file": Key(
        text,
        "path",
        "",
        "file with the URL, instead of url, for a URL that is a secret; read for every request",
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
        endpoint,
        "URL",
        "",
        "proxy (default: HTTPS_PROXY and similar variables, except for loopback addresses)",
    ),
    "ca_file": Key(text, "path", "", "CA bundle (default: the system's trust store)"),
    "cert_file": Key(text, "path", "", "client certificate (PEM)"),
    "key_file": Key(text, "path", "", "private key of the certificate (PEM)"),
    "insecure_skip_verify": Key(
        boolean, "boolean", _HOOK.insecure_skip_verify, "do not verify the certificate"
    ),
}
