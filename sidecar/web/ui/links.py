"""Links of the page to other programs, by the templates of the config."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from sidecar.config import UiLink
from sidecar.core.values import ALERT_PREFIX, Signal

_OF_ALERTS = ("{alertname}", "{fingerprint}")


def scope_links(links: Iterable[UiLink], scope: str) -> list[tuple[str, str]]:
    """Name and URL of each link that needs no alert."""
    return [(link.name, _filled(link.url, scope=scope)) for link in links if not _needs_alert(link)]


def alert_links(links: Iterable[UiLink], scope: str, signal: Signal) -> list[tuple[str, str]]:
    """Name and URL of each link to the alert of ``signal``; none for a signal of an agent."""
    if signal.kind != "alert":
        return []
    fingerprint = signal.source.removeprefix(ALERT_PREFIX)
    return [
        (link.name, _filled(link.url, scope=scope, alertname=signal.alertname, fingerprint=fingerprint))
        for link in links
        if _needs_alert(link) and (signal.alertname or "{alertname}" not in link.url)
    ]


def _needs_alert(link: UiLink) -> bool:
    return any(one in link.url for one in _OF_ALERTS)


def _filled(url: str, **values: str) -> str:
    for name, value in values.items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    return url
