"""Asks a running sidecar, and says in one sentence what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exit_statuses import CommandFailed
from .output import note
from .unreachable import why_unreachable

if TYPE_CHECKING:
    from sidecar.client.connection import SidecarResponse

DEFAULT_URL = "http://127.0.0.1:9477"
_SLACK_SECS = 10.0
_MAX_ANSWER_BYTES = 2**30
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _REDIRECTS = 200, 401, 403, 404, range(300, 400)


def ask(
    options: argparse.Namespace,
    method: str,
    route: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The members of an answer of 200.

    Args:
        options: of the command line: scope, url, token_file, ca_file, cert_file.
        method: of HTTP.
        route: below ``/v1/``, without the scope.
        body: sent as JSON.
        params: of the query.

    Raises:
        CommandFailed: the sidecar did not answer, or refused.
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
    """The answer, whatever its status, within ``wait`` seconds and a few more.

    Raises:
        CommandFailed: there was none.
    """
    from sidecar.client.connection import Connection  # noqa: PLC0415 - `serve` does without
    from sidecar.client.errors import Unreachable  # noqa: PLC0415
    from sidecar.client.settings import Settings, misspelt_variables  # noqa: PLC0415

    for message in misspelt_variables(os.environ):
        note(message)
    _check(options)
    try:
        settings = Settings(
            url=options.url,
            scope=options.scope,
            token=os.environ.get("WELLBEING_TOKEN") or None,
            token_file=options.token_file or None,
            ca_file=options.ca_file or None,
            cert_file=options.cert_file or None,
        )
    except ValueError as error:
        name, _, why = str(error).partition(": ")
        if name == "url":
            why = f"--url (WELLBEING_URL): {options.url!a} is no URL of a sidecar: {why}"
        raise CommandFailed(why if name == "url" else str(error)) from None
    timeout = wait + _SLACK_SECS
    connection = Connection(settings, "wellbeing-sidecar", _MAX_ANSWER_BYTES)
    try:
        return connection.ask(method, route, timeout=timeout, headers=headers, params=params, body=body)
    except Unreachable as error:
        raise CommandFailed(why_unreachable(options.url, error, timeout)) from error
    finally:
        connection.close()


def members(options: argparse.Namespace, answer: SidecarResponse) -> dict[str, Any]:
    """The members of an answer of 200.

    Raises:
        CommandFailed: no sidecar answers like that.
    """
    found = answer.body
    if isinstance(found, dict) and ("gate" in found or "entries" in found):
        return found
    raise CommandFailed(_not_a_sidecar(options, answer))


def refusal(options: argparse.Namespace, answer: SidecarResponse) -> str:
    """Why a request was refused, with the remedy."""
    if not is_problem(answer):
        return _not_a_sidecar(options, answer)
    body = answer.body
    said = f"{body['title']}: {body['detail']}"
    if answer.status == _UNAUTHORIZED:
        if _has_token(options):
            return f"the sidecar does not accept the token that was given: {body['detail']}"
        return (
            "the sidecar wants credentials: "
            "give a token by --token-file, WELLBEING_TOKEN_FILE or WELLBEING_TOKEN"
        )
    if answer.status == _FORBIDDEN:
        return f"{body['detail']}: use a token whose role and scope (auth.credentials of the config) allow it"
    if body["type"] == "/problems/inference-paused":
        return str(body["detail"])
    if answer.status == _NOT_FOUND:
        return f"{said}: check --url (WELLBEING_URL)"
    return said


def is_problem(answer: SidecarResponse) -> bool:
    """Whether it is a sidecar's refusal: a problem as in RFC 9457, of its kinds."""
    body = answer.body
    return (
        isinstance(body, dict)
        and {"title", "detail"} <= body.keys()
        and str(body.get("type", "")).startswith("/problems/")
    )


def _not_a_sidecar(options: argparse.Namespace, answer: SidecarResponse) -> str:
    url, status = options.url, answer.status
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return f"{url} answered {status}, and not as a sidecar does: a proxy in between refused the request"
    if status in _REDIRECTS:
        target = answer.headers.get("Location", "")
        return f"{url} answered {status}, a redirect to {target}: give the sidecar's own address by --url"
    return f"{url} answered {status}, and not as a sidecar does: check --url (WELLBEING_URL)"


def _has_token(options: argparse.Namespace) -> bool:
    return bool(options.token_file or os.environ.get("WELLBEING_TOKEN"))


def _check(options: argparse.Namespace) -> None:
    """Say what is wrong with the arguments, before any library says it less plainly."""
    url = options.url
    if not url.startswith(("http://", "https://", "unix:/")):
        meant = "unix:" + url if url.startswith("/") else "http://" + url
        hint = f" (did you mean {meant}?)" if "://" not in url else ""
        raise CommandFailed(
            f"--url (WELLBEING_URL): must be http://, https:// or unix:/path, got {url!a}{hint}"
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
        # In the C locale Python takes all that is not ASCII for undecodable bytes.
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise CommandFailed(f"the {name} is not text in UTF-8") from None


def _check_token(where: str, token: str) -> None:
    if not token:
        raise CommandFailed(f"{where} is empty")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise CommandFailed(f"{where} has characters that no token has: it must be one word in ASCII")
