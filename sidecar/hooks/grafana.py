"""Annotations in Grafana: a region from the pause to the resume (its HTTP API, ``/api/annotations``)."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from sidecar.config import HookConfig

from .endpoint import DeliveryFailed, HookRequest
from .events import ENDS, HookEvent
from .links import scope_link
from .sender import Sender
from .text import details_of, title_of

_BEGINS = {end: begin for begin, end in ENDS.items()}
_PATH = "/api/annotations"
_MAX_TAG_LENGTH = 100
_NOT_FOUND = 404
_NOT_READABLE = (401, 403, 404, 405, 501)


class GrafanaFormat:
    """Begins an annotation at a pause, and ends it at the resume.

    The ids of open annotations are remembered. If an earlier attempt may have arrived, Grafana is queried
    first, so that a repeated event does not make a second annotation.

    Args:
        config: the config of the hook.
        base: URL at which people reach the sidecar; empty: it is not known.
    """

    def __init__(self, config: HookConfig, base: str) -> None:
        self._config = config
        self._base = base
        self._path = "" if config.url.rstrip("/").endswith(_PATH) else _PATH

    def deliver(
        self, event: HookEvent, sender: Sender, notes: Mapping[str, int], *, is_repeat: bool
    ) -> Mapping[str, int]:
        """Deliver ``event``; return the ids of open annotations, by scope and event.

        Raises:
            DeliveryFailed: the event did not arrive.
        """
        begin = _BEGINS.get(event.name)
        if begin is not None:
            key = f"{begin} {event.entry.scope}"
            opened = notes.get(key)
            if opened is not None and self._end(event, opened, sender):
                return {other: one for other, one in notes.items() if other != key}
            notes = {other: one for other, one in notes.items() if other != key}
        found = self._find(event, sender) if is_repeat else None
        number = self._create(event, sender) if found is None else found
        if event.name in ENDS:
            return {**notes, f"{event.name} {event.entry.scope}": number}
        return notes

    def _create(self, event: HookEvent, sender: Sender) -> int:
        body = {"time": _millis(event), "tags": self._tags(event), "text": self._text(event)}
        reply = sender.send(HookRequest(json.dumps(body).encode(), path=self._path)).json()
        number = reply.get("id") if isinstance(reply, dict) else None
        if not isinstance(number, int):
            raise DeliveryFailed("the endpoint answered without the id of an annotation: it is not Grafana")
        return number

    def _end(self, event: HookEvent, number: int, sender: Sender) -> bool:
        """Set the end of an annotation. False: the annotation was deleted."""
        body = json.dumps({"timeEnd": _millis(event)}).encode()
        try:
            sender.send(HookRequest(body, method="PATCH", path=f"{self._path}/{number}"))
        except DeliveryFailed as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        return True

    def _find(self, event: HookEvent, sender: Sender) -> int | None:
        at = str(_millis(event))
        params: dict[str, str | list[str]] = {
            "from": at, "to": at, "type": "annotation", "limit": "100", "tags": self._tags(event),
        }  # fmt: skip
        try:
            reply = sender.send(HookRequest(None, method="GET", path=self._path, params=params))
        except DeliveryFailed as error:
            if error.status in _NOT_READABLE:
                # The token may write annotations, but not read them.
                return None
            raise
        found: Any = reply.json()
        for one in found if isinstance(found, list) else ():
            is_same = isinstance(one, dict) and one.get("time") == _millis(event)
            if is_same and isinstance(one.get("id"), int):
                return int(one["id"])
        return None

    def _tags(self, event: HookEvent) -> list[str]:
        scope = f"scope:{event.entry.scope}"[:_MAX_TAG_LENGTH]
        return (
            [*self._config.tags, event.name, scope] if event.entry.scope else [*self._config.tags, event.name]
        )

    def _text(self, event: HookEvent) -> str:
        lines = [title_of(event), *(f"{label}: {value}" for label, value in details_of(event))]
        text = "<br>".join(html.escape(line) for line in lines)
        link = scope_link(self._base, event.entry.scope)
        return f'{text}<br><a href="{html.escape(link)}">Open the sidecar\'s page</a>' if link else text


def _millis(event: HookEvent) -> int:
    return round(event.entry.at * 1000)
