"""The pages in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from sidecar.web.problems import CONTENT_TYPE
from sidecar.web.ui.forms import LENGTHS
from sidecar.web.ui.scope_tree import FILTERS

Json = dict[str, Any]

_TEXT = {"schema": {"type": "string"}}
_NUMBER = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_SEE_OTHER = {"description": "Another page shows the result", "headers": {"Location": _TEXT}}
_READING = ("store-unavailable", "invalid-parameter")
_CHANGING = (
    "invalid-body", "cross-site", "too-slow", "body-too-large", "too-many-scopes", "store-unavailable",
    "shutting-down",
)  # fmt: skip


def page_items(scope_schema: Json) -> dict[str, tuple[Json, bool]]:
    """Each page's route, its methods, and whether a scope may follow the route.

    Args:
        scope_schema: the schema of a scope.
    """
    tree = [
        _query("q", {"type": "string"}, "Only scopes whose name, reasons or alerts contain it."),
        _query("state", {"enum": ["", *FILTERS]}, "Only scopes in this state."),
        _query("page", _NUMBER, "Page of the list of scopes."),
    ]
    scope = [
        *tree,
        _query("signals", _NUMBER, "Page of the signals."),
        _query("before", _NUMBER, "History entries older than the one with this id."),
        _query("done", {"type": "string"}, "The action whose effect is shown."),
    ]
    top = [_query("scope", {"anyOf": [scope_schema, {"const": ""}]}, "A scope, whose page is shown."), *tree]
    return {
        "/": ({"get": _page("The overview", top, redirects=True)}, False),
        "/ui/scope": ({"get": _page("The page of a scope", scope)}, True),
        "/ui/pause": (_action("pause", ["reason", "secs"]), True),
        "/ui/extend": (_action("extend", ["secs"]), True),
        "/ui/resume": (_action("resume", []), True),
        "/ui/page.css": ({"get": _file("The style of the pages", "text/css")}, False),
        "/ui/page.js": ({"get": _file("The script of the pages", "text/javascript")}, False),
    }


def _action(word: str, required: list[str]) -> Json:
    fields = {
        "reason": {"type": "string", "pattern": "\\S"},
        "secs": {"enum": list(LENGTHS), "description": "Seconds from now; 0: until an operator resumes"},
    }
    form = {
        "type": "object",
        "properties": {name: fields[name] for name in required},
        "required": required,
        "additionalProperties": False,
    }
    shown_again = {"text/html": _TEXT, CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "get": _page(f"Asks whether to {word}", []),
        "post": {
            "summary": f"The form that was asked for: {word}",
            "description": "A browser must say that the form comes from the same origin, by `Sec-Fetch-Site` "
            "or `Origin`. Programs use the routes under `/v1`.",
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": form}},
            },
            "responses": {
                "303": _SEE_OTHER,
                "400": {
                    "description": "A field is missing, or the body is not a form",
                    "content": shown_again,
                },
                "409": {"description": "There is no pause to extend", "content": {"text/html": _TEXT}},
            },
            "problems": _CHANGING,
        },
    }


def _page(summary: str, parameters: list[Json], *, redirects: bool = False) -> Json:
    responses: Json = {"200": {"description": "The page", "content": {"text/html": _TEXT}}}
    if redirects:
        responses["303"] = _SEE_OTHER
    return {"summary": summary, "parameters": parameters, "responses": responses, "problems": _READING}


def _file(summary: str, content_type: str) -> Json:
    return {
        "summary": summary,
        "responses": {"200": {"description": "The file", "content": {content_type: _TEXT}}},
    }


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}
