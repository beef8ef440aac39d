"""Queries Alertmanagers over their API, each in its own thread and with a timeout."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sidecar.alerts import ActiveAlert, InvalidNotification, parse_active_alerts, parse_started_at
from sidecar.config import AlertsConfig
from sidecar.http_json import HttpAccess, HttpReply, HttpRequestFailed, send_request
from sidecar.runtime.garbage import collection_paused

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_OK = 200
_GRACE_SECS = 1.0
_GO_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class AlertmanagerReply:
    """The reply of one Alertmanager.

    Attributes:
        name: its URL, without credentials.
        alerts: the alerts that it lists; empty if it did not answer.
        started_at: when it was started, as it reports; seconds since the epoch.
        watchdog: whether it lists the watchdog alert; None: no watchdog is configured.
        error: why it did not answer; empty: it did.
    """

    name: str
    alerts: tuple[ActiveAlert, ...] = ()
    started_at: float = 0.0
    watchdog: bool | None = None
    error: str = ""


QueryAlertmanagers = Callable[[AlertsConfig], Awaitable[list[AlertmanagerReply]]]


def quote_receiver(name: str) -> str:
    """``name`` as Alertmanager writes it in notifications: quoted by Go's ``regexp.QuoteMeta``."""
    return _GO_META.sub(lambda match: "\\" + match[0], name)


def without_credentials(url: str) -> str:
    """``url`` without credentials, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


class AlertmanagerClient:
    """Queries the Alertmanagers of the config. Not thread-safe: use it in the loop."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    async def query(self, config: AlertsConfig) -> list[AlertmanagerReply]:
        """Query all Alertmanagers at once. Returns their replies in the order of the config."""
        return list(await asyncio.gather(*(self._query(url, config) for url in config.alertmanager_urls)))

    async def _query(self, url: str, config: AlertsConfig) -> AlertmanagerReply:
        name = without_credentials(url)
        if url in self._busy:
            return AlertmanagerReply(name, error="the last query has not ended yet")
        loop = asyncio.get_running_loop()
        reply_received: asyncio.Future[AlertmanagerReply] = loop.create_future()

        def finish(answer: AlertmanagerReply) -> None:
            self._busy.discard(url)
            if not reply_received.done():
                reply_received.set_result(answer)

        def run() -> None:
            answer = _fetch_reply(url, name, config)
            # The loop is closed if the sidecar has stopped meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, answer)

        self._busy.add(url)
        # A daemon thread, not an executor: a thread that hangs must not delay the shutdown.
        threading.Thread(target=run, name="ask-alertmanager", daemon=True).start()
        requests = 3 if config.watchdog.alertname else 2
        secs = requests * config.alertmanager.timeout_secs + _GRACE_SECS
        try:
            async with asyncio.timeout(secs):
                return await asyncio.shield(reply_received)
        except TimeoutError:
            return AlertmanagerReply(name, error=f"it did not answer within {secs:g} s")


def _fetch_reply(url: str, name: str, config: AlertsConfig) -> AlertmanagerReply:
    options = config.alertmanager
    params: dict[str, str | list[str]] = dict.fromkeys(
        ("active", "silenced", "inhibited", "unprocessed"), "true"
    )
    try:
        started_at = parse_started_at(_json_of(_get(url, "/api/v2/status", config), "/api/v2/status"))
        watchdog = None
        if config.watchdog.alertname:
            # Query without receiver and filter: the watchdog may have another receiver or other labels.
            only = {**params, "filter": f'alertname="{_escaped(config.watchdog.alertname)}"'}
            watchdog = bool(_get_alerts(url, config, only))
        if options.filter:
            params["filter"] = list(options.filter)
        if options.receiver:
            params["receiver"] = quote_receiver(options.receiver)
        alerts = _get_alerts(url, config, params)
        return AlertmanagerReply(name, alerts, started_at, watchdog)
    except (HttpRequestFailed, InvalidNotification) as error:
        return AlertmanagerReply(name, error=str(error))
    except Exception as error:  # noqa: BLE001 - any error is the reason why there is no reply
        return AlertmanagerReply(name, error=f"the query failed: {type(error).__name__}")


def _get_alerts(url: str, config: AlertsConfig, params: dict[str, Any]) -> tuple[ActiveAlert, ...]:
    path = "/api/v2/alerts"
    reply = _get(url, path, config, params)
    # Garbage collections would scan all parsed objects, and hold the interpreter for several milliseconds.
    with collection_paused():
        return parse_active_alerts(_json_of(reply, path))


def _get(url: str, path: str, config: AlertsConfig, params: dict[str, Any] | None = None) -> HttpReply:
    options = config.alertmanager
    reply = send_request(
        "GET",
        url.rstrip("/") + path,
        HttpAccess.of(options),
        timeout=options.timeout_secs,
        max_bytes=_MAX_ANSWER_BYTES,
        params=params,
    )
    if reply.status != _OK:
        raise HttpRequestFailed(f"{path} answered {reply.status}")
    return reply


def _json_of(reply: HttpReply, path: str) -> object:
    answer = reply.json()
    if answer is None:
        raise HttpRequestFailed(f"{path} answered with a body that is not JSON")
    return answer


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
