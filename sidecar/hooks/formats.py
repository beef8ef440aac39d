"""The formats: what a hook sends for an event."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from sidecar.body_template import BodyTemplate, TemplateFailed
from sidecar.clock import rfc3339
from sidecar.config import HookConfig

from .endpoint import DeliveryFailed, HookRequest
from .events import HookEvent
from .grafana import GrafanaFormat
from .links import scope_link
from .sender import Sender
from .slack import slack_message

Notes = Mapping[str, int]
"""Notes that a format keeps for a hook, over restarts."""


class HookFormat(Protocol):
    """Delivers events. All calls block."""

    def deliver(self, event: HookEvent, sender: Sender, notes: Notes, *, is_repeat: bool) -> Notes:
        """Deliver ``event``; return the notes to keep.

        Args:
            event: the event.
            sender: sends requests to the endpoint.
            notes: the notes so far.
            is_repeat: whether an earlier attempt may have arrived.

        Raises:
            DeliveryFailed: the event did not arrive.
        """


class SingleRequestFormat:
    """A format that sends one request for each event.

    Args:
        request_of: the request of an event.
    """

    def __init__(self, request_of: Callable[[HookEvent], HookRequest]) -> None:
        self._request_of = request_of

    def deliver(self, event: HookEvent, sender: Sender, notes: Notes, *, is_repeat: bool) -> Notes:  # noqa: ARG002
        """Deliver ``event``. Receivers recognise a repeated event by its id."""
        sender.send(self._request_of(event))
        return notes


def make_format(config: HookConfig, base: str) -> HookFormat:
    """The format of a hook.

    Args:
        config: the config of the hook.
        base: URL at which people reach the sidecar; empty: it is not known.
    """
    if config.format == "grafana":
        return GrafanaFormat(config, base)
    if config.format == "slack":
        return SingleRequestFormat(lambda event: _json_request(slack_message(event, _link(event, base))))
    if config.format == "template":
        return SingleRequestFormat(_template_request(config, base))
    return SingleRequestFormat(lambda event: _cloud_event(event, base))


def _link(event: HookEvent, base: str) -> str:
    return scope_link(base, event.entry.scope)


def _json_request(body: object, content_type: str = "application/json") -> HookRequest:
    return HookRequest(json.dumps(body).encode(), content_type)


def _cloud_event(event: HookEvent, base: str) -> HookRequest:
    """A CloudEvent 1.0 in the structured mode of its HTTP binding."""
    entry = event.entry
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": base or f"//{socket.gethostname()}/wellbeing-sidecar",
        "type": f"wellbeing.{event.name}",
        "time": rfc3339(entry.at),
        "datacontenttype": "application/json",
    }
    if entry.scope:
        # An empty subject is not allowed: an event of the root has none.
        attributes["subject"] = entry.scope
    body = {**attributes, "data": event.fields(_link(event, base))}
    return _json_request(body, "application/cloudevents+json; charset=utf-8")


def _template_request(config: HookConfig, base: str) -> Callable[[HookEvent], HookRequest]:
    template = BodyTemplate(config.template)

    def request_of(event: HookEvent) -> HookRequest:
        try:
            body = template.render(event.fields(_link(event, base)))
        except TemplateFailed as error:
            raise DeliveryFailed(f"the template cannot be rendered: {error}", is_refused=True) from None
        return HookRequest(body, config.content_type, config.method)

    return request_of
