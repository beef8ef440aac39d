"""Asks Alertmanagers what they know, over their API: each in a thread of its own, within a time."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sidecar.alerts import ActiveAlert, InvalidNotification, parse_active_alerts, parse_started_at
from sidecar.config import AlertsConfig
from sidecar.http_json import HttpAccess, HttpRequestFailed, request_json

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_OK = 200
_GRACE_SECS = 1.0
_GO_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class AlertmanagerReply:
    """What one Alertmanager said.

    Attributes:
        name: its URL, without credentials.
        alerts: what it knows; empty when it did not answer.
        started_at: when it did, by its own word.
        watchdog: whether it lists the watchdog's alert; None: it was not asked for.
        error: why it did not answer; empty: it did.
    """

    name: str
    alerts: tuple[ActiveAlert, ...] = ()
    started_at: float = 0.0
    watchdog: bool | None = None
    error: str = ""


Ask = Callable[[AlertsConfig], Awaitable[list[AlertmanagerReply]]]


def quote_receiver(name: str) -> str:
    """``name`` as Alertmanager writes it into notifications: what Go's ``regexp.QuoteMeta`` makes of it."""
    return _GO_META.sub(lambda match: "\\" + match[0], name)


def name_of(url: str) -> str:
    """``url`` without the credentials that it may have."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


class AlertmanagerClient:
    """All that the config names. Belongs to the loop."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    async def ask(self, config: AlertsConfig) -> list[AlertmanagerReply]:
        """The answers of all, in the config's order; none keeps the others waiting for more than its time."""
        return list(await asyncio.gather(*(self._ask(url, config) for url in config.alertmanager_urls)))

    async def _ask(self, url: str, config: AlertsConfig) -> AlertmanagerReply:
        name = name_of(url)
        if url in self._busy:
            return AlertmanagerReply(name, error="it has not done with the last question yet")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[AlertmanagerReply] = loop.create_future()

        def settle(answer: AlertmanagerReply) -> None:
            self._busy.discard(url)
            if not answered.done():
                answered.set_result(answer)

        def work() -> None:
            answer = _answer(url, name, config)
            # Closed: the sidecar has ended meanwhile.
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, answer)

        self._busy.add(url)
        # A thread and no executor: one that hangs is left alone, and keeps nobody from ending.
        threading.Thread(target=work, name="ask-alertmanager", daemon=True).start()
        requests = 3 if config.watchdog.alertname else 2
        secs = requests * config.alertmanager.timeout_secs + _GRACE_SECS
        try:
            return await asyncio.wait_for(asyncio.shield(answered), secs)
        except TimeoutError:
            return AlertmanagerReply(name, error=f"it did not answer within {secs:g} s")


def _answer(url: str, name: str, config: AlertsConfig) -> AlertmanagerReply:
    asked = config.alertmanager
    params: dict[str, str | list[str]] = dict.fromkeys(
        ("active", "silenced", "inhibited", "unprocessed"), "true"
    )
    try:
        started_at = parse_started_at(_get(url, "/api/v2/status", config))
        watchdog = None
        if config.watchdog.alertname:
            # Whatever receiver and filter say: it may be told to another one, or have other labels.
            only = {**params, "filter": f'alertname="{_escaped(config.watchdog.alertname)}"'}
            watchdog = bool(parse_active_alerts(_get(url, "/api/v2/alerts", config, only)))
        if asked.filter:
            params["filter"] = list(asked.filter)
        if asked.receiver:
            params["receiver"] = quote_receiver(asked.receiver)
        alerts = parse_active_alerts(_get(url, "/api/v2/alerts", config, params))
        return AlertmanagerReply(name, alerts, started_at, watchdog)
    except (HttpRequestFailed, InvalidNotification) as error:
        return AlertmanagerReply(name, error=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why there is no answer
        return AlertmanagerReply(name, error=f"it could not be asked: {type(error).__name__}")


def _get(url: str, path: str, config: AlertsConfig, params: dict[str, Any] | None = None) -> object:
    asked = config.alertmanager
    status, answer = request_json(
        "GET",
        url.rstrip("/") + path,
        HttpAccess.of(asked),
        timeout=asked.timeout_secs,
        max_bytes=_MAX_ANSWER_BYTES,
        params=params,
    )
    if status != _OK:
        raise HttpRequestFailed(f"{path} answered {status}")
    if answer is None:
        raise HttpRequestFailed(f"{path} answered with what is no JSON")
    return answer


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
