"""Sends requests to a running sidecar. Errors are one sentence."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.unreachable import ServerOptions, why_unreachable

from .exit_statuses import CommandFailed
from .output import print_note

if TYPE_CHECKING:
    from sidecar.client.access import Access
    from sidecar.client.connection import SidecarResponse
    from sidecar.client.errors import Unreachable

_OPTIONS = ServerOptions(
    url="--url (WELLBEING_URL)",
    ca_file="--ca-file (WELLBEING_CLIENT_CA_FILE)",
    start="start the sidecar (wellbeing-sidecar serve)",
)
_VARIABLES = ("WELLBEING_URL", "WELLBEING_TOKEN", "WELLBEING_TOKEN_FILE", "WELLBEING_CLIENT_CA_FILE")
_SLACK_SECS = 10.0
_ACTOR = re.compile(r"[A-Za-z0-9._@-]{1,64}", re.ASCII)
_MAX_ANSWER_BYTES = 2**30
PAUSED = ("/problems/inference-paused", "/problems/too-many-waiters", "/problems/shutting-down")
"""Refusals of the gate. The policy decides on their status."""
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _REDIRECTS = 200, 401, 403, 404, range(300, 400)


def request(
    options: argparse.Namespace,
    method: str,
    route: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Send a request; return the members of a 200 response.

    Args:
        options: command line options: scope, url, token_file, ca_file, cert_file.
        method: the HTTP method.
        route: the route below ``/v1/``, without the scope.
        body: the body, sent as JSON.
        params: query parameters.

    Raises:
        CommandFailed: the sidecar did not answer, or refused the request.
    """
    answer = send(options, method, route, body=body, params=params)
    if answer.status != _OK:
        raise CommandFailed(refusal(options, answer))
    return members(options, answer)


def send(
    options: argparse.Namespace,
    method: str,
    route: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    wait: float = 0.0,
) -> SidecarResponse:
    """Send a request; return the response, whatever its status. The timeout is ``wait`` and a few seconds.

    Raises:
        CommandFailed: there was no response.
    """
    from sidecar.client.connection import Connection  # noqa: PLC0415 - `serve` does not need it
    from sidecar.client.errors import Unreachable  # noqa: PLC0415

    if method in ("POST", "PUT"):
        headers = {**(headers or {}), **_actor()}
    access = access_of(options)
    timeout = wait + _SLACK_SECS
    connection = Connection(access, "wellbeing-sidecar", _MAX_ANSWER_BYTES)
    try:
        return connection.request(method, route, timeout=timeout, headers=headers, params=params, body=body)
    except Unreachable as error:
        raise CommandFailed(unreachable_message(options, error, timeout)) from error
    finally:
        connection.close()


def unreachable_message(options: argparse.Namespace, error: Unreachable, secs: float) -> str:
    """Why the sidecar could not be reached within ``secs``, and what to do."""
    return why_unreachable(shown_url(options), error, secs, _OPTIONS)


def shown_url(options: argparse.Namespace) -> str:
    """The URL for messages: without the password that it may have."""
    return _redacted(options.url)


def _redacted(url: str) -> str:
    return re.sub(r"(//|^)[^/]*@", r"\1***@", url)


def _actor() -> dict[str, str]:
    """The user who runs the command. The sidecar records it for requests from its own machine."""
    name = os.environ.get("USER") or os.environ.get("LOGNAME") or ""
    return {"Wellbeing-Actor": name} if _ACTOR.fullmatch(name) else {}


def access_of(options: argparse.Namespace) -> Access:
    """The URL, the scope and the credentials from the command line and the environment.

    Raises:
        CommandFailed: one of them is not valid.
    """
    from sidecar.client.access import Access, check_access  # noqa: PLC0415 - `serve` does not need it

    if any(name.startswith("WELLBEING_") and name not in _VARIABLES for name in os.environ):
        from sidecar.client.settings import misspelt_variables  # noqa: PLC0415 - few have such variables

        for message in misspelt_variables(os.environ):
            print_note(message)
    _check(options)
    access = Access(
        url=options.url,
        scope=options.scope,
        token=os.environ.get("WELLBEING_TOKEN") or None,
        token_file=options.token_file or None,
        ca_file=options.ca_file or None,
        cert_file=options.cert_file or None,
    )
    try:
        check_access(access)
    except ValueError as error:
        what = f"{shown_url(options)} is not the URL of a sidecar: " if str(error).startswith("url: ") else ""
        raise CommandFailed(f"{what}{error}") from None
    return access


def members(options: argparse.Namespace, answer: SidecarResponse) -> dict[str, Any]:
    """The members of a 200 response.

    Raises:
        CommandFailed: the response does not come from a sidecar.
    """
    found = answer.body
    if isinstance(found, dict) and ("gate" in found or "entries" in found):
        return found
    raise CommandFailed(_not_a_sidecar(options, answer))


def refusal(options: argparse.Namespace, answer: SidecarResponse) -> str:
    """Why a request was refused, and how to fix it."""
    if not is_problem(answer):
        return _not_a_sidecar(options, answer)
    body = answer.body
    message = f"{body['title']}: {body['detail']}"
    if body["type"] in PAUSED:
        # The policy may give them the status 401 or 403, too.
        return str(body["detail"]) if body["type"] == PAUSED[0] else message
    if answer.status == _UNAUTHORIZED:
        if _has_token(options):
            return f"the sidecar does not accept the given token: {body['detail']}"
        return (
            "the sidecar requires credentials: "
            "give a token with --token-file, WELLBEING_TOKEN_FILE or WELLBEING_TOKEN"
        )
    if answer.status == _FORBIDDEN:
        return f"{body['detail']}: use a token whose role and scope (auth.credentials of the config) allow it"
    if answer.status == _NOT_FOUND:
        return f"{message}: check --url (WELLBEING_URL)"
    return message


def is_problem(answer: SidecarResponse) -> bool:
    """Whether a response is a sidecar's refusal: one of its RFC 9457 problems."""
    body = answer.body
    return (
        isinstance(body, dict)
        and {"title", "detail"} <= body.keys()
        and str(body.get("type", "")).startswith("/problems/")
    )


def _not_a_sidecar(options: argparse.Namespace, answer: SidecarResponse) -> str:
    url, status = shown_url(options), answer.status
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return f"{url} answered {status}, but not as a sidecar does: a proxy in between refused the request"
    if status in _REDIRECTS:
        target = answer.headers.get("Location", "")
        return f"{url} answered {status}, a redirect to {target}: give the sidecar's own address with --url"
    return f"{url} answered {status}, but not as a sidecar does: check --url (WELLBEING_URL)"


def _has_token(options: argparse.Namespace) -> bool:
    return bool(options.token_file or os.environ.get("WELLBEING_TOKEN"))


def _check(options: argparse.Namespace) -> None:
    """Check the arguments, to report errors more clearly than a library does."""
    url = options.url
    if not url.startswith(("http://", "https://", "unix:/")):
        meant = "unix:" + url if url.startswith("/") else "http://" + url
        hint = f" (did you mean {_redacted(meant)}?)" if "://" not in url else ""
        raise CommandFailed(
            "--url (WELLBEING_URL): must be http://, https:// or unix:/path, "
            f"got {shown_url(options)!a}{hint}"
        )
    for name in ("scope", "reason", "source"):
        text = getattr(options, name, None)
        if text:
            setattr(options, name, _as_text(name, text))
    for name in ("token_file", "ca_file", "cert_file"):
        path = getattr(options, name)
        if path:
            flag = "--" + name.replace("_", "-")
            try:
                data = Path(path).read_bytes()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise CommandFailed(f"{flag}: {path} cannot be read: {why}") from None
            if name == "token_file":
                _check_token(f"{flag}: the token in {path}", data.decode("latin-1").strip())
    if not options.token_file:
        _check_token("WELLBEING_TOKEN", os.environ.get("WELLBEING_TOKEN") or "unset")


def _as_text(name: str, argument: str) -> str:
    with contextlib.suppress(UnicodeEncodeError):
        argument.encode()
        return argument
    try:
        # In the C locale, Python takes all non-ASCII characters for undecodable bytes.
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise CommandFailed(f"the {name} is not text in UTF-8") from None


def _check_token(where: str, token: str) -> None:
    if not token:
        raise CommandFailed(f"{where} is empty")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise CommandFailed(f"{where} has invalid characters: a token must be one word in ASCII")
