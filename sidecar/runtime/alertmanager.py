"""Asks Alertmanager what it knows, over its API; blocking, for a thread of its own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from sidecar.alerts import ActiveAlert, InvalidNotification, parse_active_alerts, parse_started_at
from sidecar.config import AlertsConfig

if TYPE_CHECKING:
    import requests

_MAX_ANSWER_BYTES = 128 * 1024 * 1024
_CHUNK_BYTES = 65_536
_OK = 200
_GO_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


class AlertmanagerDown(Exception):
    """One that did not answer, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one Alertmanager said.

    Attributes:
        name: its URL, without credentials.
        alerts: what it knows; empty when it did not answer.
        started_at: when it did, by its own word.
        error: why it did not answer; empty: it did.
    """

    name: str
    alerts: tuple[ActiveAlert, ...] = ()
    started_at: float = 0.0
    error: str = ""


def quote_receiver(name: str) -> str:
    """``name`` as Alertmanager writes it into notifications: what Go's ``regexp.QuoteMeta`` makes of it."""
    return _GO_META.sub(lambda match: "\\" + match[0], name)


def name_of(url: str) -> str:
    """``url`` without the credentials that it may have."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def ask_all(config: AlertsConfig) -> list[Answer]:
    """The answers of every Alertmanager that is configured, in their order."""
    import requests  # noqa: PLC0415 - it takes memory, and only who reconciles needs it

    answers = []
    for url in config.alertmanager_urls:
        name = name_of(url)
        try:
            with requests.Session() as session:
                answers.append(_ask(_Connection(session, url.rstrip("/"), config), name))
        except (OSError, ValueError, AlertmanagerDown) as error:
            # requests' errors are OSErrors; what it says of a URL may hold the credentials.
            text = str(error).replace(url, name)
            password = urlsplit(url).password
            answers.append(Answer(name, error=text.replace(password, "***") if password else text))
    return answers


class _Connection:
    """GETs of JSON, with the credentials and within the limits of the config."""

    def __init__(self, session: requests.Session, url: str, config: AlertsConfig) -> None:
        self._session = session
        self._url = url
        self.config = config
        asked = config.alertmanager
        if asked.username:
            session.auth = (asked.username, _secret(asked.password, asked.password_file))
        elif asked.bearer_token or asked.bearer_token_file:
            token = _secret(asked.bearer_token, asked.bearer_token_file)
            session.headers["Authorization"] = f"Bearer {token}"
        if asked.cert_file:
            session.cert = (asked.cert_file, asked.key_file) if asked.key_file else asked.cert_file
        if not asked.username and not urlsplit(url).username:
            # Nobody's ~/.netrc is asked; proxies of the environment are.
            session.auth = _no_auth

    def get(self, path: str, params: dict[str, str | list[str]] | None = None) -> object:
        """What is at ``path``. Raises `AlertmanagerDown`, or an `OSError`."""
        timeout = self.config.alertmanager.timeout_secs
        deadline = time.monotonic() + timeout
        asked = self.config.alertmanager
        with self._session.get(
            self._url + path,
            params=params,
            timeout=timeout,
            stream=True,
            allow_redirects=False,
            # By argument, for the session's own gives way to $REQUESTS_CA_BUNDLE.
            verify=False if asked.insecure_skip_verify else (asked.ca_file or None),
        ) as response:
            if response.status_code != _OK:
                message = f"{path} answered {response.status_code}"
                raise AlertmanagerDown(message)
            body = bytearray()
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    message = f"{path} answered with more than {_MAX_ANSWER_BYTES} bytes"
                    raise AlertmanagerDown(message)
                if time.monotonic() > deadline:
                    message = f"{path} took longer than {timeout:g} s to answer"
                    raise AlertmanagerDown(message)
        try:
            return json.loads(bytes(body))
        except (ValueError, RecursionError):
            message = f"{path} answered with what is no JSON"
            raise AlertmanagerDown(message) from None


def _ask(connection: _Connection, name: str) -> Answer:
    asked = connection.config.alertmanager
    params: dict[str, str | list[str]] = dict.fromkeys(
        ("active", "silenced", "inhibited", "unprocessed"), "true"
    )
    if asked.filter:
        params["filter"] = list(asked.filter)
    if asked.receiver:
        params["receiver"] = quote_receiver(asked.receiver)
    try:
        started_at = parse_started_at(connection.get("/api/v2/status"))
        return Answer(name, parse_active_alerts(connection.get("/api/v2/alerts", params)), started_at)
    except InvalidNotification as error:
        raise AlertmanagerDown(str(error)) from None


def _secret(text: str, path: str) -> str:
    return text or (Path(path).read_text(encoding="utf-8").strip() if path else "")


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


Ask = Callable[[AlertsConfig], list[Answer]]
