"""The config's values about other programs: Alertmanager, engines, imports and hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.alerts import RuleSet

HOOK_EVENTS = (
    "pause", "resume", "advice", "advice_ended", "intervention", "blind", "sighted", "trial_failed",
    "store_down", "store_up",
)  # fmt: skip
"""The events that hooks can receive."""


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
        proxy_url: proxy; empty: the proxy that the environment names, if any.
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
