"""Routes that change something: notifications, claims, pauses, resumes, reports.

They run in the event loop, because passing a request to a thread takes longer than its commit. Only large
bodies are parsed in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sidecar.alertmanager.watchdog import SOURCE as WATCHDOG_SOURCE
from sidecar.alerts import InvalidNotification, Notification, NotificationTooLarge, parse_notification
from sidecar.auth import Identity
from sidecar.core.commands import ClaimState, Command, Pause, Resume
from sidecar.core.errors import InvalidState
from sidecar.core.state import WellbeingState
from sidecar.core.values import AGENT_PREFIX
from sidecar.gates.client_reports import InvalidReport, TooManyClients
from sidecar.runtime.garbage import collection_paused
from sidecar.time_slice import release_in_pieces
from sidecar.web.gate.requests import scope_of
from sidecar.web.gate.responses import snapshot_response
from sidecar.web.local_actor import PREFIX as LOCAL
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, json_response, large_json_response
from sidecar.web.retry_after import retry_after
from sidecar.web.service import Service

from .bodies import MAX_REASON_LENGTH, Body
from .explain import explain_alerts
from .reports import report_of

_OPERATOR = "operator"
_AGENT = "default"
_MAX_INLINE_BYTES = 16_384
"""A larger body, such as a notification of more than about 30 alerts, is parsed in a thread."""

_MAX_INLINE_ALERTS = 30

Handler = Callable[[], Awaitable[HttpResponse]]
BodyParser = Callable[[str, bytes, Identity, str], Handler]


class _Route(NamedTuple):
    """The method of a route. ``read`` parses a body and returns the handler to run in the loop."""

    method: str
    read: BodyParser


class CommandRoutes:
    """Parses requests and submits their commands.

    Args:
        service: the running sidecar.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._routes = {
            "/v1/alerts": _Route("POST", self._notification),
            "/v1/state": _Route("PUT", self._claim),
            "/v1/pause": _Route("POST", self._pause),
            "/v1/resume": _Route("POST", self._resume),
            "/v1/reports": _Route("POST", self._report),
        }

    def method_of(self, route: str | None, path: str) -> str | None:
        """The method of ``route``; None: it is not a command route, or ``path`` does not match it."""
        found = self._routes.get(route or "")
        if found is None or (route == "/v1/alerts" and path != route):
            return None
        return found.method

    async def respond(
        self, route: str, path: str, body: list[bytes], sender: Identity, peer: str
    ) -> HttpResponse:
        """Run the command; return the response.

        Args:
            route: a route that `method_of` knows.
            path: the route, followed by the scope.
            body: the parts of the body. The list is emptied.
            sender: the identity of the client.
            peer: the address of the client.

        Raises:
            Problem: the request was refused, and nothing changed.
        """
        scope = scope_of(path, route)
        read = self._routes[route].read
        counters = self._service.controller.counters
        try:
            if _size(body) <= _MAX_INLINE_BYTES:
                handle = read(scope, _taken(body), sender, peer)
            else:
                handle = await asyncio.to_thread(lambda: _read_large(read, scope, _taken(body), sender, peer))
            return await handle()
        except InvalidNotification as error:
            counters.notifications["invalid"] += 1
            # Alertmanager does not repeat the notification soon, so query Alertmanager for its alerts.
            self._service.alerting.reconcile_now()
            raise _notification_problem(error) from error
        except InvalidReport as error:
            counters.reports["invalid"] += 1
            raise Problem("invalid-body", str(error)) from error
        except TooManyClients as error:
            counters.reports["refused"] += 1
            raise Problem("too-many-clients", str(error), headers=retry_after(60)) from error

    async def explain(self, body: list[bytes], sender: Identity) -> HttpResponse:
        """Explain what a notification would do. Nothing is changed or counted.

        Raises:
            Problem: it is not a notification.
        """
        try:
            if _size(body) <= _MAX_INLINE_BYTES:
                notification = self._parse_notification(_taken(body))
            else:
                notification = await asyncio.to_thread(lambda: self._parse_notification(_taken(body)))
        except InvalidNotification as error:
            raise _notification_problem(error) from error
        explained = await explain_alerts(self._service, notification, sender)
        if len(notification.alerts) <= _MAX_INLINE_ALERTS:
            return json_response(explained)
        # Releasing the alerts at once would block the event loop for milliseconds.
        alerts: list[object] = list(notification.alerts)
        del notification
        self._service.release_in_thread(alerts)
        return await asyncio.to_thread(large_json_response, explained)

    def _parse_notification(self, body: bytes) -> Notification:
        limits = self._service.config.limits
        return parse_notification(
            body,
            max_alerts=limits.max_alerts_per_notification,
            max_labels=limits.max_labels_per_alert,
            max_label_bytes=limits.max_label_bytes,
        )

    # -- reading ----------------------------------------------------------------------------------

    def _notification(self, _: str, body: bytes, sender: Identity, peer: str) -> Handler:
        service = self._service
        notification = self._parse_notification(body)
        now = service.clock.now()
        interpreter = service.alerting.interpreter
        interpretation = interpreter.interpret(notification, now, sender_scope=sender.scope)
        if len(notification.alerts) > _MAX_INLINE_ALERTS:
            # The rest is no longer needed. It is released here, because its release would block the event
            # loop.
            alerts: list[object] = list(notification.alerts)
            notification = interpreter.only_watchdog(notification)
            release_in_pieces(alerts)

        async def take() -> HttpResponse:
            commands = interpretation.command.alerts
            try:
                taken = await service.await_result(
                    service.alerting.receive(notification, interpretation, sender.name, peer)
                )
            except Problem:
                service.controller.counters.notifications["unavailable"] += 1
                raise
            finally:
                if len(commands) > _MAX_INLINE_ALERTS:
                    # Nothing else refers to them. Releasing them in the event loop would block it.
                    service.release_in_thread(list(commands))
            return json_response({"alerts": taken})

        return take

    def _claim(self, scope: str, data: bytes, sender: Identity, _: str) -> Handler:
        body = Body.parse(data, ("state", "reason", "source", "ttl_secs"))
        try:
            state = WellbeingState.parse(body.required("state"))
        except InvalidState as error:
            raise Problem("invalid-body", f"state: {error}") from None
        source = AGENT_PREFIX + body.name("source", _AGENT).removeprefix(AGENT_PREFIX)
        if source == WATCHDOG_SOURCE:
            # Otherwise an agent could withdraw the watchdog's claim while the sidecar is blind.
            raise Problem("invalid-body", f"source: {source} is the sidecar's own")
        reason = body.line("reason", MAX_REASON_LENGTH)
        ttl_secs = body.seconds("ttl_secs", positive=True)
        return self._submit_handler(ClaimState(scope, source, state, reason, ttl_secs), scope, sender)

    def _pause(self, scope: str, data: bytes, sender: Identity, _: str) -> Handler:
        body = Body.parse(data, ("reason", "max_pause_secs"))
        reason = body.required_line("reason", MAX_REASON_LENGTH)
        return self._submit_handler(
            Pause(scope, reason, _by(sender), body.seconds("max_pause_secs")), scope, sender
        )

    def _resume(self, scope: str, data: bytes, sender: Identity, _: str) -> Handler:
        body = Body.parse(data or b"{}", ("reason",))
        reason = body.line("reason", MAX_REASON_LENGTH)
        return self._submit_handler(Resume(scope, _by(sender), reason), scope, sender)

    def _report(self, scope: str, data: bytes, _: Identity, _peer: str) -> Handler:
        report = report_of(data)

        async def count() -> HttpResponse:
            return json_response({"accepted": self._service.reports.take(scope, report)})

        return count

    def _submit_handler(self, command: Command, scope: str, sender: Identity) -> Handler:
        async def perform() -> HttpResponse:
            controller = self._service.controller
            await self._service.await_result(controller.submit(command, sender.name))
            return snapshot_response(*controller.tree.find(scope))

        return perform


def _read_large(read: BodyParser, scope: str, body: bytes, sender: Identity, peer: str) -> Handler:
    # Garbage collections would scan all parsed objects, and hold the interpreter for several milliseconds.
    with collection_paused():
        return read(scope, body, sender, peer)


def _size(body: list[bytes]) -> int:
    return sum(map(len, body))


def _taken(body: list[bytes]) -> bytes:
    """The joined parts of ``body``. The list is emptied, because the caller may keep it for long."""
    whole = body[0] if len(body) == 1 else b"".join(body)
    body.clear()
    return whole


def _by(sender: Identity) -> str:
    """The name of the credential. An unproven name is used only as the actor of an event."""
    return _OPERATOR if not sender.name or sender.name.startswith(LOCAL) else sender.name


def _notification_problem(error: InvalidNotification) -> Problem:
    too_large = isinstance(error, NotificationTooLarge)
    return Problem("notification-too-large" if too_large else "invalid-notification", str(error))
