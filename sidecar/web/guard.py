"""Decides which client may use which route and scope."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from sidecar.auth import ANONYMOUS, UNRESTRICTED, Identity, Keyring, Role
from sidecar.config import Listener
from sidecar.core.scope import ROOT

from .failure_limit import FailureLimit
from .gate.authz import AUTHZ, split_authz
from .gate.plans import ListenerAccess, RequestPlan
from .problems import Problem

ROUTE_ROLES: Mapping[str, Role] = {
    "/v1/gate": Role.WORKER,
    "/v1/watch": Role.WORKER,
    "/v1/admit": Role.WORKER,
    "/v1/ready": Role.WORKER,
    AUTHZ: Role.WORKER,
    "/v1/reports": Role.WORKER,
    "/v1/state": Role.AGENT,
    "/v1/alerts": Role.WEBHOOK,
    "/v1/status": Role.VIEWER,
    "/v1/history": Role.VIEWER,
    "/v1/events": Role.VIEWER,
    "/metrics": Role.VIEWER,
    "/": Role.VIEWER,
    "/ui/scope": Role.VIEWER,
    "/ui/pause": Role.OPERATOR,
    "/ui/extend": Role.OPERATOR,
    "/ui/resume": Role.OPERATOR,
    "/v1/pause": Role.OPERATOR,
    "/v1/resume": Role.OPERATOR,
    "/-/reload": Role.OPERATOR,
}
"""The role that each route needs. A scope may follow the routes under ``/v1/`` and ``/ui/``."""

OPEN_ROUTES = ("/-/healthy", "/-/ready", "/openapi.json", "/problems", "/ui/page.css", "/ui/page.js")
"""Routes without a role. Probes need no secret. Every client may read what an error means. The page that asks
for a credential needs its style and script."""

FORM_ROUTES = ("/ui/pause", "/ui/extend", "/ui/resume")
"""Routes that take forms of the status page."""

_REQUIRED = "credentials are required: a bearer token, a user and password, or a certificate"
_WRONG = "the credentials are wrong"
BEARER = 'Bearer realm="wellbeing"'
BASIC = 'Basic realm="wellbeing", charset="UTF-8"'


def route_of(path: str) -> str | None:
    """The route in `ROUTE_ROLES` or `OPEN_ROUTES` that ``path`` belongs to; None: there is none."""
    if path in ROUTE_ROLES or path in OPEN_ROUTES:
        return path
    for route in (*ROUTE_ROLES, *OPEN_ROUTES):
        if path.startswith(route + "/") and route.startswith(("/v1/", "/ui/", "/problems")):
            return route
    return None


class Guard:
    """Identifies clients, and refuses requests that their roles do not allow.

    Args:
        keyring: all credentials.
        max_failures: how many wrong credentials one address may send in a minute before it has to wait.
        listeners: the listeners of the config.

    Attributes:
        failure_limit: limits wrong credentials.
        untrusted: the access of connections whose certificate is no longer trusted.
    """

    def __init__(self, keyring: Keyring, max_failures: int, listeners: Iterable[Listener]) -> None:
        self.keyring = keyring
        self.failure_limit = FailureLimit(max_failures)
        self.untrusted = ListenerAccess(ANONYMOUS)
        self._listeners = tuple(listeners)
        self._accesses: dict[Listener, ListenerAccess] = {}
        # By listener and certificate name. An entry lasts as long as a connection uses it.
        self._certified: WeakValueDictionary[tuple[Listener, str], ListenerAccess] = WeakValueDictionary()
        # One thread: bcrypt uses a whole core.
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    def configure(self, keyring: Keyring, max_failures: int, listeners: Iterable[Listener]) -> None:
        """Replace the credentials and the listeners' roles, for open connections too.

        Args:
            keyring: as for the constructor.
            max_failures: as for the constructor.
            listeners: as for the constructor. A listener that is missing no longer grants its own roles.
        """
        self.keyring = keyring
        self.failure_limit.most = max_failures
        self._listeners = tuple(listeners)
        for listener, access in self._accesses.items():
            access.identity = self._identity(listener, "")
        for (listener, name), access in list(self._certified.items()):
            access.identity = self._identity(listener, name)
        self.clear_plans()

    def stop(self) -> None:
        """Stop the thread that checks passwords."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def clear_plans(self) -> list[RequestPlan]:
        """Drop all plans, because the same request heads may mean something else now. Returns the plans."""
        plans = self.untrusted.clear_plans()
        for access in (*self._accesses.values(), *list(self._certified.values())):
            plans += access.clear_plans()
        return plans

    def access(self, listener: Listener, names: tuple[str, ...] = ()) -> ListenerAccess:
        """The access at ``listener`` with a certificate for ``names``."""
        # Only names that are in a credential matter. Any other certificate counts as no certificate.
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
        return UNRESTRICTED if self.keyring.is_empty else ANONYMOUS

    def _roles(self, listener: Listener) -> tuple[str, ...] | None:
        """The current roles of ``listener``; None: it has no roles of its own."""
        if listener in self._listeners:
            return listener.roles
        same = [one.roles for one in self._listeners if one.address == listener.address]
        if len(same) == 1:
            return same[0]
        # The listener left the config but still accepts connections, or is ambiguous. It grants no roles.
        return None if listener.roles is None else ()

    # -- refusing ---------------------------------------------------------------------------------

    def identify_fast(
        self, access: ListenerAccess, authorization: bytes | None, role: Role, scope: str
    ) -> Identity | None:
        """The identity that has ``role`` in ``scope``, found without bcrypt; None: `admit` has to decide."""
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
            access: the access of its connection.
            identity: the identity that was admitted.
            scope: the requested scope; None: any scope.
            role: the role that it needs; None: any role.
        """
        if _is_allowed(access.identity, role, scope):
            return None
        current = self.keyring.current(identity)
        if current is not None:
            return None if _is_allowed(current, role, scope) else _forbidden(current)
        if access.identity.name:
            return _forbidden(access.identity)
        return self._unauthorized("the credential of this request is no longer valid")

    def revoked_problem(self, access: ListenerAccess, identity: Identity, scope: str) -> Problem:
        """The problem for a waiting request whose access was revoked. Arguments as for `refusal`."""
        problem = self.refusal(access, identity, scope)
        return problem or self._unauthorized("the certificate of this connection is no longer trusted")

    async def admit(
        self,
        access: ListenerAccess,
        authorization: bytes | None,
        route: str | None,
        scope: str | None,
        peer: str,
    ) -> Identity:
        """Return the identity that may use ``route``.

        Args:
            access: the access of the connection.
            authorization: the value of the Authorization header.
            route: the requested route; None: there is no such route. Only known clients are told so.
            scope: the requested scope; None: the body names it.
            peer: the client's address.

        Raises:
            Problem: the client may not use the route.
        """
        role = ROUTE_ROLES.get(route) if route else None
        if route in OPEN_ROUTES:
            return ANONYMOUS
        found = self.keyring.identify_fast(authorization)
        if found is None and _is_allowed(access.identity, role, scope):
            return access.identity
        if found is None and self.keyring.needs_bcrypt(authorization):
            found = await self._check_password(authorization, peer)
            if found is None:
                raise self._unauthorized(_WRONG, authorization)
        if found is not None:
            for identity in (found, access.identity):
                if _is_allowed(identity, role, scope):
                    return identity
            raise _forbidden(found)
        if authorization and not self.keyring.is_empty:
            self.failure_limit.check(peer)
            self.failure_limit.count(peer)
            raise self._unauthorized(_WRONG, authorization)
        if access.identity.name:
            raise _forbidden(access.identity)
        raise self._unauthorized(_REQUIRED)

    async def _check_password(self, authorization: bytes | None, peer: str) -> Identity | None:
        """The identity of a user and password; None: they are wrong, which is counted.

        Raises:
            Problem: ``peer`` has sent too many wrong credentials.
        """
        async with self.failure_limit.turn(peer):
            # Another request with the same password may have been checked meanwhile.
            found = self.keyring.identify_fast(authorization)
            if found is not None:
                return found
            self.failure_limit.check(peer)
            loop = asyncio.get_running_loop()
            checked = await loop.run_in_executor(self._thread, self.keyring.identify, authorization)
            # The credentials may have changed meanwhile.
            found = self.keyring.current(checked) if checked else None
            if found is None:
                self.failure_limit.count(peer)
            return found

    def _unauthorized(self, detail: str, authorization: bytes | None = None) -> Problem:
        # With this challenge, a browser asks for a password even if a script has sent a token.
        by_token = authorization is not None and authorization[:7].lower() == b"bearer "
        asks_password = self.keyring.has_passwords and not by_token
        return Problem("unauthorized", detail, challenges=(BEARER, BASIC) if asks_password else (BEARER,))


def _is_allowed(identity: Identity, role: Role | None, scope: str | None) -> bool:
    return identity.may(role, scope) if role else bool(identity.roles)


def _forbidden(identity: Identity) -> Problem:
    return Problem("forbidden", f"the credential {identity.name} does not allow this here")


def refuse_cross_site(
    headers: list[tuple[bytes, bytes]], identity: Identity, *, external_url: str = "", form: bool = False
) -> None:
    """Refuse a change that a page of another site sends through a browser.

    Args:
        headers: the header fields of the request.
        identity: the identity of the client.
        external_url: URL at which people reach the sidecar. Behind a proxy its host may not be the request's.
        form: the request is a form of the status page. Its browser must say where it comes from, because a
            form needs no script and no permission to be sent from another site.

    Raises:
        Problem: the request comes from another site.
    """
    seen = {name: value.decode("latin-1") for name, value in headers}
    if seen.get(b"sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
        raise _cross_site()
    origin = seen.get(b"origin")
    if origin is None:
        if form and seen.get(b"sec-fetch-site") != "same-origin":
            raise _cross_site()
        return
    if external_url and _origin_of(external_url) == origin:
        return
    # Without a credential, a matching host name proves nothing: another site's DNS name may point here
    # (DNS rebinding).
    try:
        parts = urlsplit(origin)
    except ValueError:
        raise _cross_site() from None
    host = parts.netloc
    if host != seen.get(b"host") or not (identity.name or _is_address(parts.hostname or "")):
        raise _cross_site()


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].removesuffix(default)}"


def _cross_site() -> Problem:
    return Problem("cross-site", "a page of another site sent this request: it must not change anything")


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def scope_in(path: str, route: str | None) -> str | None:
    """The scope after ``route`` in ``path``, not validated yet; None: no scope, or any scope is allowed."""
    if route in ("/v1/alerts", "/"):
        return None
    if route is None or not route.startswith(("/v1/", "/ui/")):
        return ROOT
    if route == AUTHZ:
        return split_authz(path)[0]
    return path[len(route) :].removeprefix("/")
