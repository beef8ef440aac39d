"""Decides which client may ask for what."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from sidecar.auth import EVERYTHING, NOBODY, Identity, Keyring, Role
from sidecar.config import Listener
from sidecar.core.scope import ROOT

from .gate.plans import ListenerAccess
from .problems import Problem

ROUTE_ROLES: Mapping[str, Role] = {
    "/v1/gate": Role.WORKER,
    "/v1/watch": Role.WORKER,
    "/v1/reports": Role.WORKER,
    "/v1/state": Role.AGENT,
    "/v1/alerts": Role.WEBHOOK,
    "/v1/status": Role.VIEWER,
    "/v1/history": Role.VIEWER,
    "/v1/events": Role.VIEWER,
    "/metrics": Role.VIEWER,
    "/": Role.VIEWER,
    "/v1/pause": Role.OPERATOR,
    "/v1/resume": Role.OPERATOR,
    "/-/reload": Role.OPERATOR,
}
"""The role that each route takes. A scope may follow those under ``/v1/``."""

OPEN_ROUTES = ("/-/healthy", "/-/ready", "/openapi.json", "/problems")
"""Routes without a role: probes need no secret, and everybody can read what an error means."""

_WINDOW_SECS = 60.0
_MAX_PEERS = 10_000
_CHALLENGE = 'Bearer realm="wellbeing", Basic realm="wellbeing", charset="UTF-8"'


def route_of(path: str) -> str | None:
    """The route in `ROUTE_ROLES` or `OPEN_ROUTES` that ``path`` belongs to; None: there is none."""
    if path in ROUTE_ROLES or path in OPEN_ROUTES:
        return path
    for route in (*ROUTE_ROLES, *OPEN_ROUTES):
        if path.startswith(route + "/") and route.startswith(("/v1/", "/problems")):
            return route
    return None


class Guard:
    """Identifies clients, and refuses those that may not do what they ask for.

    Args:
        keyring: all credentials.
        max_failures: wrong credentials from one address within a minute, before it has to wait.
        listeners: of the config.

    Attributes:
        untrusted: access of connections whose certificate is not trusted any more.
    """

    def __init__(self, keyring: Keyring, max_failures: int, listeners: Iterable[Listener]) -> None:
        self.keyring = keyring
        self.max_failures = max_failures
        self.untrusted = ListenerAccess(NOBODY)
        self._listeners = tuple(listeners)
        self._accesses: dict[Listener, ListenerAccess] = {}
        # With a certificate's name. They last for as long as connections use them.
        self._certified: WeakValueDictionary[tuple[Listener, str], ListenerAccess] = WeakValueDictionary()
        self._failures: dict[str, tuple[float, int]] = {}
        # One at a time: bcrypt takes a whole core.
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    def configure(self, keyring: Keyring, max_failures: int, listeners: Iterable[Listener]) -> None:
        """Use other credentials and other roles of listeners, for open connections too.

        Args:
            keyring: as for the constructor.
            max_failures: as for the constructor.
            listeners: as for the constructor. A listener that is missing gives no roles of its own any more.
        """
        self.keyring = keyring
        self.max_failures = max_failures
        self._listeners = tuple(listeners)
        for listener, access in self._accesses.items():
            access.identity = self._identity(listener, "")
        for (listener, name), access in list(self._certified.items()):
            access.identity = self._identity(listener, name)
        self.clear_plans()

    def stop(self) -> None:
        """Check no more passwords."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def clear_plans(self) -> None:
        """Drop all plans: request heads may mean something else now."""
        self.untrusted.clear_plans()
        for access in (*self._accesses.values(), *list(self._certified.values())):
            access.clear_plans()

    def access(self, listener: Listener, names: tuple[str, ...] = ()) -> ListenerAccess:
        """The access at ``listener`` with a certificate that has ``names``."""
        # Only names of credentials make a difference: other certificates are worth as much as none.
        known = next((name for name in names if self.keyring.by_certificate((name,))), "")
        access = self._certified.get((listener, known)) if known else self._accesses.get(listener)
        if access is None:
            access = ListenerAccess(self._identity(listener, known))
            if known:
                self._certified[listener, known] = access
            else:
                self._accesses[listener] = access
        return access

    def _identity(self, listener: Listener, name: str) -> Identity:
        certified = self.keyring.by_certificate((name,)) if name else None
        if certified is not None:
            return certified
        roles = self._roles(listener)
        if roles is not None:
            return Identity("", frozenset(map(Role, roles)))
        return EVERYTHING if self.keyring.is_empty else NOBODY

    def _roles(self, listener: Listener) -> tuple[str, ...] | None:
        """The roles that ``listener`` has by now; None: it has none of its own."""
        if listener in self._listeners:
            return listener.roles
        same = [one.roles for one in self._listeners if one.address == listener.address]
        if len(same) == 1:
            return same[0]
        # It has left the config and still accepts, or looks like another one: it gives no roles of its own.
        return None if listener.roles is None else ()

    # -- refusing ---------------------------------------------------------------------------------

    def identify_fast(
        self, access: ListenerAccess, authorization: bytes | None, role: Role, scope: str
    ) -> Identity | None:
        """The identity that may do what ``role`` allows in ``scope``; None: `admit` has to decide."""
        if authorization:
            found = self.keyring.identify_fast(authorization)
            if found is not None and found.may(role, scope):
                return found
        return access.identity if access.identity.may(role, scope) else None

    def refusal(
        self, access: ListenerAccess, identity: Identity, scope: str | None, role: Role | None = Role.WORKER
    ) -> Problem | None:
        """Why a request that was admitted would be refused now; None: it would be admitted again.

        Args:
            access: of its connection.
            identity: as which it was admitted.
            scope: what it asked for; None: some scope.
            role: what it takes; None: any role.
        """
        if _is_allowed(access.identity, role, scope):
            return None
        current = self.keyring.current(identity)
        if current is not None:
            return None if _is_allowed(current, role, scope) else _forbidden(current)
        if access.identity.name:
            return _forbidden(access.identity)
        return _unauthorized("the credential that admitted this request is not valid any more")

    def revoked_problem(self, access: ListenerAccess, identity: Identity, scope: str) -> Problem:
        """The answer to a request that waited when its access was taken away. Arguments as for `refusal`."""
        problem = self.refusal(access, identity, scope)
        return problem or _unauthorized("the certificate of this connection is not trusted any more")

    async def admit(
        self,
        access: ListenerAccess,
        authorization: bytes | None,
        route: str | None,
        scope: str | None,
        peer: str,
    ) -> Identity:
        """The identity that may ask for ``route``.

        Args:
            access: of the connection.
            authorization: the header's value.
            route: what is asked for; None: no route, which only known clients are told.
            scope: of which scope; None: of some scope, which is in the body.
            peer: the client's address.

        Raises:
            Problem: the client may not ask for that.
        """
        role = ROUTE_ROLES.get(route) if route else None
        if route in OPEN_ROUTES:
            return NOBODY
        found = self.keyring.identify_fast(authorization)
        if found is None and _is_allowed(access.identity, role, scope):
            return access.identity
        if found is None and self.keyring.needs_time(authorization):
            self._check_failure_limit(peer)
            loop = asyncio.get_running_loop()
            checked = await loop.run_in_executor(self._thread, self.keyring.identify, authorization)
            # The credentials may have changed meanwhile.
            found = self.keyring.current(checked) if checked else None
        if found is not None:
            for identity in (found, access.identity):
                if _is_allowed(identity, role, scope):
                    return identity
            raise _forbidden(found)
        if authorization and not self.keyring.is_empty:
            self._check_failure_limit(peer)
            self._count_failure(peer)
            raise _unauthorized("the credentials are wrong")
        if access.identity.name:
            raise _forbidden(access.identity)
        raise _unauthorized("this needs credentials: a bearer token, a user and password, or a certificate")

    def _check_failure_limit(self, peer: str) -> None:
        began, count = self._failures.get(peer, (0.0, 0))
        left = began + _WINDOW_SECS - asyncio.get_running_loop().time()
        if left > 0 and count >= self.max_failures:
            raise Problem(
                "too-many-attempts",
                f"{count} wrong credentials within a minute from this address",
                headers={"Retry-After": str(int(left) + 1)},
            )

    def _count_failure(self, peer: str) -> None:
        now = asyncio.get_running_loop().time()
        began, count = self._failures.get(peer, (now, 0))
        if now - began >= _WINDOW_SECS:
            began, count = now, 0
        # The latest failure stands last, so that the oldest ones are forgotten first.
        self._failures.pop(peer, None)
        if len(self._failures) >= _MAX_PEERS:
            del self._failures[next(iter(self._failures))]
        self._failures[peer] = (began, count + 1)


def _is_allowed(identity: Identity, role: Role | None, scope: str | None) -> bool:
    return identity.may(role, scope) if role else bool(identity.roles)


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": _CHALLENGE})


def _forbidden(identity: Identity) -> Problem:
    return Problem("forbidden", f"the credential {identity.name} does not allow this here")


def refuse_cross_site(headers: list[tuple[bytes, bytes]], identity: Identity) -> None:
    """Refuse a change that a browser asks for on behalf of another site's page.

    Raises:
        Problem: the request is one.
    """
    seen = {name: value.decode("latin-1") for name, value in headers}
    if seen.get(b"sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
        raise _cross_site()
    origin = seen.get(b"origin")
    if origin is None:
        return
    # Without a credential a host name proves nothing: another site's DNS may lead here (DNS rebinding).
    host = urlsplit(origin).netloc
    if host != seen.get(b"host") or not (identity.name or _is_address(urlsplit(origin).hostname or "")):
        raise _cross_site()


def _cross_site() -> Problem:
    return Problem("cross-site", "a page of another site sent this request: it may not change anything")


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def scope_in(path: str, route: str | None) -> str | None:
    """The scope that follows ``route`` in ``path``, not checked yet; None: it is in the body."""
    if route == "/v1/alerts":
        return None
    if route is None or not route.startswith("/v1/"):
        return ROOT
    return path[len(route) :].removeprefix("/")
