"""Refusals as pages, for browsers. These pages need neither Flask nor Jinja."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable

from sidecar.web.guard import BASIC, BEARER
from sidecar.web.problems import Problem, header_fields
from sidecar.web.responses import HttpResponse

from .base_url import base_of
from .security_headers import PAGE_HEADERS

_ROUTES = ("/", "/ui/scope", "/ui/pause", "/ui/extend", "/ui/resume")
_PAGE = """<!doctype html>
<html lang="en" data-base="{base}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: wellbeing</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}ui/page.css">
<script src="{base}ui/page.js" defer></script>
</head>
<body>
<header class="top"><a class="brand" href="{base}">Wellbeing</a></header>
<main id="main" data-problem="{name}">
<h1>{title}</h1>
<p class="notice bad">{detail}</p>
{sign_in}<p><a href="{base}">Back to the overview</a></p>
</main>
</body>
</html>
"""
_SIGN_IN = """<form id="sign-in" hidden>
<p><label for="token">Token</label>
<input id="token" type="password" autocomplete="current-password" required minlength="16"></p>
<p class="hint" id="token-hint">This tab keeps it until the tab is closed.</p>
<p><button>Sign in</button></p>
</form>
<noscript><p>Without script, sign in with a user and a password, or with a certificate.
A token needs script.</p></noscript>
"""


def is_page(route: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether ``route`` is a page, and the client accepts HTML."""
    return route in _ROUTES and any(name == b"accept" and b"text/html" in value for name, value in headers)


def problem_page(
    problem: Problem, path: str, headers: Iterable[tuple[bytes, bytes]], *, has_passwords: bool
) -> HttpResponse:
    """``problem`` as a page.

    Args:
        problem: why the request was refused.
        path: the path of the request.
        headers: the header fields of the request.
        has_passwords: whether a user and a password could help.
    """
    document = json.loads(problem.body)
    unauthorized = problem.name in ("unauthorized", "forbidden")
    challenges = _challenges(headers, has_passwords=has_passwords) if problem.challenges else ()
    text = _PAGE.format(
        base=base_of(path),
        title=html.escape(document["title"]),
        detail=html.escape(document["detail"]),
        name=html.escape(problem.name),
        sign_in=_SIGN_IN if unauthorized else "",
    )
    fields = (*PAGE_HEADERS.items(), *header_fields(problem, challenges))
    return HttpResponse(problem.status, fields, text.encode())


def _challenges(headers: Iterable[tuple[bytes, bytes]], *, has_passwords: bool) -> tuple[str, ...]:
    """The challenges of the response. The browser asks for user and password only if they can help.

    Requests of the page's script do not navigate: the script shows the refusal itself.
    """
    seen = dict(headers)
    navigates = seen.get(b"sec-fetch-mode", b"navigate") == b"navigate"
    return (BEARER, BASIC) if has_passwords and navigates else (BEARER,)
