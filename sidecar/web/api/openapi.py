"""The OpenAPI 3.1 description of all routes."""

from __future__ import annotations

from typing import Any

from sidecar import __version__
from sidecar.core.commands import AlertOutcome
from sidecar.core.policy import DENY_STATUSES
from sidecar.core.state import WellbeingState
from sidecar.core.values import AdviceCause
from sidecar.gates.counters import WAIT_BOUNDS
from sidecar.gates.priorities import DEFAULT_PRIORITY
from sidecar.store import KINDS
from sidecar.web.gate.requests import WATCH_WAIT_CAP_SECS, WATCH_WAIT_SECS
from sidecar.web.gate.responses import RAMP_HEADER, REASON_HEADER
from sidecar.web.guard import OPEN_ROUTES, ROUTE_ROLES
from sidecar.web.problems import CONTENT_TYPE, TITLES

from .openapi_pages import page_items
from .unwell import MAX_UNWELL

Json = dict[str, Any]

# "." and ".." are not valid segments.
_SEGMENT = "(?!\\.{1,2}(/|$))[A-Za-z0-9._:~-]{1,64}"
_SCOPE_SCHEMA = {"type": "string", "pattern": f"^{_SEGMENT}(/{_SEGMENT}){{0,7}}$"}
_SCOPE = {
    "name": "scope",
    "in": "path",
    "required": True,
    "description": "Up to 8 segments joined by `/`. Without it the request is about the root.",
    "schema": _SCOPE_SCHEMA,
}
WAITS = ("waited", "timed_out", "abandoned")
"""The wait outcomes that clients report."""

_PRIORITY: Json = {"type": "integer", "minimum": 0, "maximum": 9, "default": DEFAULT_PRIORITY}
_PRIORITY_TEXT = "If the rate is limited, a higher priority goes first."
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
_DENY_STATUS = {"enum": [str(status) for status in DENY_STATUSES]}
_STATES = [state.label for state in WellbeingState]
_EVERYWHERE = ("unauthorized", "forbidden", "too-many-attempts", "invalid-parameter", "internal-error")
_CHANGES = (
    "cross-site", "invalid-body", "body-too-large", "too-slow", "too-many-scopes", "too-many-signals",
    "store-unavailable", "shutting-down",
)  # fmt: skip


def openapi() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wellbeing sidecar",
            "version": __version__,
            "description": "Monitors the wellbeing of agents and models. Pauses inference while it is bad.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: _secured(path, item) for path, item in _paths().items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


def _secured(path: str, item: Json) -> Json:
    """Add the required role and the problems that all routes share to ``item``."""
    route = path.removesuffix("/{scope}")
    role = ROUTE_ROLES.get(route)
    for method in _METHODS:
        operation = item.get(method)
        if operation is None:
            continue
        operation["operationId"] = f"{method} {path}".replace("/", " ").title().replace(" ", "")
        problems = operation.pop("problems", ())
        if role is not None and route not in OPEN_ROUTES:
            operation["description"] = f"Role: {role}. {operation.get('description', '')}".rstrip()
            operation["security"] = [{"token": []}, {"password": []}, {"certificate": []}, {}]
            problems = (*problems, *_EVERYWHERE)
        if path.endswith("{scope}"):
            problems = (*problems, "invalid-scope")
        for status, response in _problems(
            (*problems, "header-too-large", "invalid-request", "too-many-connections")
        ).items():
            operation["responses"].setdefault(status, response)
    return item


def _problems(names: tuple[str, ...]) -> Json:
    by_status: dict[str, list[str]] = {}
    for name in names:
        by_status.setdefault(str(TITLES[name][0]), []).append(name)
    return {
        status: {
            "description": "; ".join(dict.fromkeys(TITLES[name][1] for name in found)),
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, found in sorted(by_status.items())
    }


def _paths() -> Json:
    return {
        **_scoped("/v1/gate", {"get": _gate(), "head": _gate(head=True)}),
        **_scoped("/v1/watch", {"get": _watch(), "head": _watch(head=True)}),
        **_scoped("/v1/admit", {"get": _admit()}),
        **_scoped("/v1/ready", {"get": _ready(), "head": _ready(head=True)}),
        **_scoped("/v1/authz", {method: _authz(head=method == "head") for method in _METHODS}),
        **_scoped("/v1/events", {"get": _events()}),
        **_scoped(
            "/v1/state", {"put": _command("Report an agent's own state", "ClaimState", "GateSnapshot")}
        ),
        **_scoped("/v1/pause", {"post": _command("Close the gate", "Pause", "GateSnapshot")}),
        **_scoped(
            "/v1/resume", {"post": _command("Lift every hold", "Resume", "GateSnapshot", optional=True)}
        ),
        **_scoped(
            "/v1/reports",
            {"post": _command("Report the counts of a client", "Report", "Accepted", "too-many-clients")},
        ),
        **_scoped("/v1/status", {"get": _status()}),
        **_scoped("/v1/history", {"get": _history()}),
        "/v1/alerts": {"post": _alerts()},
        "/metrics": {
            "get": _plain(
                "Metrics for Prometheus",
                "text/plain",
                "application/openmetrics-text",
                problems=("internal-error",),
            )
        },
        **_pages(),
        "/-/healthy": {"get": _plain("Whether the process is alive", "text/plain")},
        "/-/ready": {"get": _plain("Whether it accepts requests", "text/plain", problems=("shutting-down",))},
        "/-/reload": {
            "post": _plain(
                "Load the config again",
                "text/plain",
                problems=(
                    "invalid-config",
                    "cross-site",
                    "too-many-scopes",
                    "store-unavailable",
                    "too-slow",
                    "body-too-large",
                ),
            )
        },
        "/openapi.json": {"get": _plain("This document", "application/json")},
        "/problems/{name}": {
            "get": {
                "summary": "The status and title of a problem type",
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"enum": list(TITLES)}}
                ],
                "responses": {"200": _json("The problem", {"type": "object"})},
                "problems": ("not-found",),
            }
        },
    }


def _pages() -> Json:
    paths: Json = {}
    for route, (item, scoped) in page_items(_SCOPE_SCHEMA).items():
        paths.update(_scoped(route, item) if scoped else {route: item})
    return paths


def _scoped(route: str, item: Json) -> Json:
    inside = {
        method: {**operation, "responses": dict(operation["responses"])} for method, operation in item.items()
    }
    return {route: item, f"{route}/{{scope}}": {"parameters": [_SCOPE], **inside}}


def _gate(*, head: bool = False) -> Json:
    return {
        "summary": "Wait until the gate is open",
        "parameters": [
            _query(
                "wait",
                {"type": "number", "minimum": 0},
                "Seconds to wait at most. The default and the maximum are `wait_timeout_secs`.",
            ),
            _query("deny_status", _DENY_STATUS, "The status of a refusal; the default is the policy's."),
            _query("priority", _PRIORITY, _PRIORITY_TEXT),
            {
                "name": "Wellbeing-Priority",
                "in": "header",
                "schema": _PRIORITY,
                "description": "As `priority`, which overrides it.",
            },
        ],
        "responses": _gate_responses(head=head),
    }


def _gate_responses(*, head: bool) -> Json:
    return {
        "200": _snapshot(head=head),
        "401": _paused("Paused, with `deny_status` 401; or authentication is required", head=head),
        "403": _paused("Paused, with `deny_status` 403; or the credential does not allow this", head=head),
        "429": _paused("Paused, with `deny_status` 429; or too many wrong credentials", head=head),
        "503": _paused(
            "Paused, and the wait timed out; or too many requests wait; or shutting down", head=head
        ),
    }


def _authz(*, head: bool = False) -> Json:
    return {
        "summary": "Wait until the gate is open, for a proxy that repeats its client's request",
        "description": "The whole path is `/v1/authz[/deny_status=STATUS][/SCOPE][/-/ANYTHING]`. Every "
        "method is served. The segment `-` ends the scope. The rest of the path, the query, the "
        "headers and a body come from the client, and change nothing. The wait is "
        "`wait_timeout_secs`. STATUS is 401, 403, 429 or 503.",
        "responses": _gate_responses(head=head),
    }


def _ready(*, head: bool = False) -> Json:
    return {
        "summary": "Whether the gate lets requests through now; never waits, counts nothing",
        "responses": {"200": _snapshot(head=head), "503": _paused("The gate is closed", head=head)},
    }


def _watch(*, head: bool = False) -> Json:
    return {
        "summary": "Wait for a change of the snapshot",
        "parameters": [
            _query(
                "wait",
                {"type": "number", "minimum": 0, "default": WATCH_WAIT_SECS},
                f"Seconds to wait at most; the maximum is {WATCH_WAIT_CAP_SECS:g}.",
            ),
            {
                "name": "If-None-Match",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The last `ETag`.",
            },
        ],
        "responses": {
            "200": _snapshot(head=head),
            "304": {"description": "The wait timed out without a change"},
        },
        "problems": ("too-many-watchers", "shutting-down"),
    }


def _admit() -> Json:
    client = {"type": "string", "pattern": "^[A-Za-z0-9._:~/@+-]{1,128}$"}
    waiting = {"type": "string", "pattern": "^[0-9]:[1-9][0-9]{0,4}(,[0-9]:[1-9][0-9]{0,4}){0,9}$"}
    return {
        "summary": "How many of a client's waiting requests may pass now",
        "description": "Answered as soon as at least one may pass, or the wait timed out. At a closed gate "
        "the answer comes at once and is 0.",
        "parameters": [
            {**_query("client", client, "The id of the client, as in its reports."), "required": True},
            {
                **_query("waiting", waiting, "How many requests wait, by priority: `5:12,9:1`."),
                "required": True,
            },
            _query("wait", {"type": "number", "minimum": 0, "default": 20}, "Seconds to wait at most."),
        ],
        "responses": {"200": _json("What may pass", {"$ref": "#/components/schemas/Admitted"})},
    }


def _events() -> Json:
    return {
        "summary": "A snapshot, then every change in the scope and below, as Server-Sent Events",
        "responses": {
            "200": {
                "description": "Events `snapshot` and `change`, each with a snapshot as its data",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
        "problems": ("too-many-streams",),
    }


def _command(
    summary: str, request_schema: str, response_schema: str, *problems: str, optional: bool = False
) -> Json:
    return {
        "summary": summary,
        "requestBody": {
            "required": not optional,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{request_schema}"}}},
        },
        "responses": {
            "200": _json("Done and stored durably", {"$ref": f"#/components/schemas/{response_schema}"})
        },
        "problems": (*_CHANGES, *problems),
    }


def _alerts() -> Json:
    operation = _command(
        "Alertmanager's webhook, version 4, or Grafana's, version 1",
        "Notification",
        "AlertCounts",
        "invalid-notification",
        "notification-too-large",
    )
    answers = [{"$ref": f"#/components/schemas/{name}"} for name in ("AlertCounts", "Explanation")]
    return {
        **operation,
        "parameters": [
            _query(
                "dry_run",
                {"enum": ["true", "false"], "default": "false"},
                "Say for each alert which rule matches, state, scope, policy, effect and what a pause would "
                "stop now, and change nothing.",
            )
        ],
        "responses": {"200": _json("Done and stored durably; or the explanation", {"anyOf": answers})},
    }


def _status() -> Json:
    return {
        "summary": "Everything that is known about a scope",
        "description": "`unwell`: the scope and the known scopes inside it whose own state is not healthy, "
        f"whose gate is not open, or whose policy advises something, worst first, at most {MAX_UNWELL}. "
        "`unwell_total` counts all of them, "
        "`closed_total` the closed ones. `suppressed`: the policy would pause the scope, but its pause "
        "of this episode is over. `advice`: the pause, or the restriction (with `admit_per_sec`), "
        "that the policy only advises; `why` is the reason, `advised_by` the scope whose policy advises it. "
        "For an unknown scope: `follows` is the known scope that it follows, "
        "`nearest` is a known scope with a similar name.",
        "parameters": [
            _query(
                "below",
                {"enum": ["true", "false"], "default": "false"},
                "List all known scopes inside it too.",
            )
        ],
        "responses": {"200": _json("The status", {"$ref": "#/components/schemas/Status"})},
    }


def _history() -> Json:
    whole = {"type": "integer", "minimum": 1}
    kinds = f"^(,|({'|'.join(KINDS)})(,|$))*$"
    time = {"type": "string", "format": "date-time"}
    return {
        "summary": "History entries, newest first",
        "parameters": [
            _query("limit", {**whole, "maximum": 1000, "default": 100}, "Entries on a page."),
            _query("cursor", {**whole, "maximum": 2**63 - 1}, "`next_cursor` of the previous page."),
            _query("kind", {"type": "string", "pattern": kinds}, "Kinds of entries, joined by commas."),
            _query("below", {"enum": ["true", "false"], "default": "true"}, "Include the scopes inside it."),
            _query("since", time, "Not before."),
            _query("until", time, "Before."),
        ],
        "responses": {"200": _json("A page", {"$ref": "#/components/schemas/History"})},
        "problems": ("store-unavailable",),
    }


def _plain(summary: str, *types: str, problems: tuple[str, ...] = ()) -> Json:
    content = {kind: {"schema": {"type": "string" if "json" not in kind else "object"}} for kind in types}
    return {
        "summary": summary,
        "responses": {"200": {"description": "The document", "content": content}},
        "problems": problems,
    }


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _snapshot(*, head: bool) -> Json:
    etag = {
        "ETag": {"schema": {"type": "string"}, "description": "The version of the snapshot"},
        RAMP_HEADER: {
            "schema": {"type": "number"},
            "description": "How many waiting requests the client may admit per second",
        },
    }
    if head:
        return {"description": "The snapshot, without its body", "headers": etag}
    return {**_json("The snapshot", {"$ref": "#/components/schemas/GateSnapshot"}), "headers": etag}


def _paused(description: str, *, head: bool) -> Json:
    headers = {
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"},
        REASON_HEADER: {
            "schema": {"type": "string"},
            "description": "The reason of the pause, escaped as in a JSON string",
        },
        "traceparent": {
            "schema": {"type": "string"},
            "description": "That of the request, if it is valid; the problem has it as a member, too",
        },
    }
    if head:
        return {"description": description, "headers": headers}
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "headers": headers, "content": content}


# -- schemas ------------------------------------------------------------------------------------------


def _schemas() -> Json:
    text, time = {"type": "string"}, {"type": "string", "format": "date-time"}
    state = {"enum": _STATES}
    count = {"type": "integer", "minimum": 0}
    seconds = {"type": "number", "minimum": 0, "maximum": 1e9}
    advice = {"reason": text, "since": time, "until": _or_null(time), "admit_per_sec": {"type": "number"}}
    always_advised = ["reason", "since", "until"]
    snapshot = {
        "scope": text,
        "gate": {"enum": ["open", "restricted", "closed"]},
        "state": state,
        "effective_state": state,
        "reason": _or_null(text),
        "since": _or_null(time),
        "until": _or_null(time),
        "held_by": _or_null(text),
        "admit_per_sec": _or_null({"type": "number", "exclusiveMinimum": 0}),
        "advice": _or_null(_object(advice, always_advised)),
        "version": count,
    }
    counts = dict.fromkeys(
        ("requests", "blocked", "waited", "timed_out", "abandoned", "succeeded", "failed"), count
    )
    signal = {
        "source": text, "alertname": _or_null(text), "state": state, "reason": text, "since": time,
        "expires_at": _or_null(time), "ended_at": _or_null(time),
    }  # fmt: skip
    hold = {
        "kind": {"enum": ["auto", "manual"]},
        "reason": text,
        "since": time,
        "until": _or_null(time),
        "by": text,
        "alertname": _or_null(text),
        "waits_for_operator": {"type": "boolean"},
    }
    entry = {
        "id": count, "at": time, "scope": text, "kind": text, "from": text, "to": text, "source": text,
        "alertname": _or_null(text), "reason": text, "cause": _or_null(text), "until": _or_null(time),
        "actor": _or_null(text),
    }  # fmt: skip
    suppressed = {
        "since": time, "ended_at": _or_null(time), "cause": _or_null(text), "advised": {"type": "boolean"},
        "text": text,
    }  # fmt: skip
    watchdog = _object({"alertname": text, "heard": {"type": "boolean"}})
    fleet = _object(
        {
            "sidecar": text,
            "leader": _or_null(text),
            "term": {"type": "integer"},
            "store_up": {"type": "boolean"},
            "applied_commit": {"type": "integer"},
            "known_commit": {"type": "integer"},
            "lag_secs": {"type": "number"},
            "from_last_known": {"type": "boolean"},
            "owed_records": {"type": "integer"},
        }
    )
    status = {
        **snapshot,
        "signals": _list(_object(signal)),
        "trial": _or_null(_object({"requests": count, "since": time, "until": time, "reason": text})),
        "advice": _or_null(
            _object(
                {
                    **advice,
                    "advised_by": text,
                    "why": {"enum": [one.value for one in AdviceCause]},
                    "by": text,
                    "alertname": _or_null(text),
                },
                [*always_advised, "advised_by", "why", "by", "alertname"],
            )
        ),
        "holds": _list(_object(hold)),
        "suppressed": _or_null(_object(suppressed)),
        "counters": {"type": "object", "additionalProperties": {"type": "number"}},
    }
    top_level = {
        "blind": {"type": "boolean"},
        "watchdog": _or_null(watchdog),
        "fleet": _or_null(fleet),
        "unwell": {**_list(_object(status)), "maxItems": MAX_UNWELL},
        "unwell_total": count,
        "closed_total": count,
    }
    below = {"follows": text, "nearest": _or_null(text), "below": _list(_object(status))}
    alerts = dict.fromkeys((one.value for one in AlertOutcome), count)
    name = {"type": "string", "pattern": "^[A-Za-z0-9._:~/@+-]{1,128}$"}
    explained = _explained(text, time, count, state)
    return {
        "Problem": {
            **_object({"type": text, "title": text, "status": {"type": "integer"}, "detail": text}),
            "additionalProperties": True,
        },
        "GateSnapshot": _object(snapshot),
        "Status": {**_object({**status, **top_level, **below}, required=[*status, *top_level])},
        "History": _object({"entries": _list(_object(entry)), "next_cursor": _or_null(text)}),
        "Admitted": _object(
            {
                "admitted": count,
                "share_per_sec": {"type": "number", "minimum": 0},
                "trial": _or_null(text),
            }
        ),
        "Accepted": _object({"accepted": {"type": "boolean"}}),
        "AlertCounts": _object({"alerts": _object(alerts)}),
        "Explanation": _object({"dry_run": {"const": True}, "alerts": _list(explained)}),
        "ClaimState": _object(
            {
                "state": state,
                "reason": _or_null(text),
                "source": _or_null(name),
                "ttl_secs": _or_null({**seconds, "exclusiveMinimum": 0}),
            },
            required=["state"],
        ),
        "Pause": _object(
            {"reason": {"type": "string", "pattern": "\\S"}, "max_pause_secs": _or_null(seconds)},
            required=["reason"],
        ),
        "Resume": _object({"reason": _or_null(text)}, required=[]),
        "Report": _object(
            {
                "client": name,
                "sequence": count,
                "interval_secs": _or_null({**seconds, "exclusiveMinimum": 0, "maximum": 3600}),
                **counts,
                "acknowledged": _or_null(_object(counts, required=[])),
                "waits": _or_null(_object(dict.fromkeys(WAITS, _or_null(_waits(count))), required=[])),
                "trial": _or_null(
                    _object({"id": _or_null(text), "succeeded": count, "failed": count}, required=[])
                ),
            },
            required=["client", "sequence"],
        ),
        "Notification": _notification(text, time),
    }


def _waits(count: Json) -> Json:
    length = len(WAIT_BOUNDS) + 1
    counts = {"type": "array", "items": count, "minItems": length, "maxItems": length}
    seconds = {"type": "number", "minimum": 0, "maximum": 1e9}
    return _object({"counts": _or_null(counts), "secs": _or_null(seconds)}, required=[])


def _explained(text: Json, time: Json, count: Json, state: Json) -> Json:
    """The dry run's explanation of one alert."""
    maybe = _or_null(text)
    failed = _object({"matcher": text, "label": text, "value": maybe})
    rule = {"rule": text, "at": maybe, "matched": {"type": "boolean"}, "failed": _list(failed)}
    source = {
        "labels": _list(_object({"label": text, "value": maybe})),
        "missing": maybe,
        "cleaned": _list(_object({"value": text, "segment": text})),
        "problem": maybe,
    }
    policy = {
        "name": text, "match": maybe, "at": maybe, "acts_from": _or_null(state),
        "pauses": {"type": "boolean"}, "settings": {"type": "object"},
    }  # fmt: skip
    affects = {
        "scopes": count, "waiters": count, "requests_last_minute": _or_null(count), "names": _list(text),
    }  # fmt: skip
    return _object(
        {
            "fingerprint": text,
            "alertname": maybe,
            "status": {"enum": ["firing", "resolved"]},
            "rules": _list(_object({**rule, "label": text, "value": maybe}, required=list(rule))),
            "state": _or_null(state),
            "reason": maybe,
            "scope": maybe,
            "scope_from": _or_null(_object(source)),
            "policy": _or_null(_object(policy)),
            "affects": _or_null(_object(affects)),
            "outcome": text,
            "effect": {
                "enum": [
                    "pauses",
                    "advises",
                    "resumes",
                    "ends_advice",
                    "restricts",
                    "ends_restriction",
                    "nothing",
                ]
            },
            "why": text,
            "text": text,
            "until": _or_null(time),
        }
    )


def _notification(text: Json, time: Json) -> Json:
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    common = {
        "labels": labels,
        "annotations": _or_null(labels),
        "startsAt": time,
        "fingerprint": {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"},
    }
    required = ["status", "labels", "startsAt", "fingerprint"]
    firing = _object({**common, "status": {"const": "firing"}}, required=required)
    ended = {**common, "status": {"const": "resolved"}, "endsAt": time}
    resolved = _object(ended, required=[*required, "endsAt"])
    alert = {"oneOf": [{**one, "additionalProperties": True} for one in (firing, resolved)]}
    members = {
        "version": {"enum": ["4", "1"]},
        "receiver": text,
        "groupKey": text,
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "alerts": _list(alert),
    }
    return {**_object(members, required=["version", "alerts"]), "additionalProperties": True}


def _object(properties: Json, required: list[str] | None = None) -> Json:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}
