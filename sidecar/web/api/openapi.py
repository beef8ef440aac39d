"""The OpenAPI 3.1 description of all routes."""

from __future__ import annotations

from typing import Any

from sidecar import __version__
from sidecar.core.policy import DENY_STATUSES
from sidecar.core.state import WellbeingState
from sidecar.gates.priorities import DEFAULT_PRIORITY
from sidecar.store import KINDS
from sidecar.web.gate.requests import WATCH_WAIT_CAP_SECS, WATCH_WAIT_SECS
from sidecar.web.gate.responses import RAMP_HEADER, REASON_HEADER
from sidecar.web.guard import OPEN_ROUTES, ROUTE_ROLES
from sidecar.web.problems import CONTENT_TYPE, TITLES

from .openapi_pages import page_items
from .openapi_schemas import schemas
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
            "schemas": schemas(),
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
            _header("Wellbeing-Priority", _PRIORITY, "The same as `priority`, which overrides this header."),
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
            _header("If-None-Match", {"type": "string"}, "The last `ETag`."),
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
                "Explain each alert and change nothing: the rule that matches, state, scope, policy, effect, "
                "and what a pause would stop now.",
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


def _header(name: str, schema: Json, description: str) -> Json:
    return {**_query(name, schema, description), "in": "header"}


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
            "description": "The `traceparent` of the request, if it is valid. It is also a member of the "
            "problem",
        },
    }
    if head:
        return {"description": description, "headers": headers}
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "headers": headers, "content": content}
