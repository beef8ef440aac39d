"""Who may ask for what."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from sidecar.auth import EVERYTHING, NOBODY, Identity, Keyring, Role
from sidecar.config import Listener
from sidecar.core.scope import ROOT

from .gate.plans import ListenerAccess
from .problems import Problem

ROUTES: Mapping[str, Role] = {
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
"""The role that each route asks for. A scope may trail those under ``/v1/``."""

OPEN = ("/-/healthy", "/-/ready", "/openapi.json", "/problems")
"""What anybody may ask for; so that probes need no secret, and errors can be read."""

_WINDOW_SECS = 60.0
_MOST_PEERS = 10_000
_CHALLENGE = 'Bearer realm="wellbeing", Basic realm="wellbeing", charset="UTF-8"'


def route_of(path: str) -> str | None:
    """The route in `ROUTES` or `OPEN` that ``path`` is one of; None: there is none."""
    if path in ROUTES or path in OPEN:
        return path
    for route in (*ROUTES, *OPEN):
        if path.startswith(route + "/") and route.startswith(("/v1/", "/problems")):
            return route
    return None


class Guard:
    """Tells who somebody is, and refuses those who may not.

    Args:
        keyring: all credentials.
        max_failures: wrong credentials of one address a minute, before it is told to wait.
    """

    def __init__(self, keyring: Keyring, max_failures: int) -> None:
        self.keyring = keyring
        self.max_failures = max_failures
        self._accesses: dict[tuple[Listener, str], ListenerAccess] = {}
        self._failures: dict[str, tuple[float, int]] = {}
        # One at a time: bcrypt takes a whole core.
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    def configure(self, keyring: Keyring, max_failures: int) -> None:
        """Go on with other credentials; connections that are open follow."""
        self.keyring = keyring
        self.max_failures = max_failures
        for (listener, name), access in self._accesses.items():
            access.identity = self._identity(listener, (name,))
        self.forget()

    def stop(self) -> None:
        """Check no more passwords."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def forget(self) -> None:
        """What was understood of request heads may be so no longer."""
        for access in self._accesses.values():
            access.forget()

    def access(self, listener: Listener, names: tuple[str, ...] = ()) -> ListenerAccess:
        """The way in at ``listener`` for who has a certificate with ``names``."""
        # Only names that somebody has: whoever comes with others is anybody.
        known = next((name for name in names if self.keyring.by_certificate((name,))), "")
        access = self._accesses.get((listener, known))
        if access is None:
            access = self._accesses[listener, known] = ListenerAccess(self._identity(listener, (known,)))
        return access

    def _identity(self, listener: Listener, names: tuple[str, ...]) -> Identity:
        certified = self.keyring.by_certificate(names)
        if certified is not None:
            return certified
        if listener.roles is not None:
            return Identity("", frozenset(map(Role, listener.roles)))
        return EVERYTHING if self.keyring.is_empty else NOBODY

    # -- refusing ---------------------------------------------------------------------------------

    def identify_fast(
        self, access: ListenerAccess, authorization: bytes | None, role: Role, scope: str
    ) -> bool:
        """Whether somebody may, as far as that is told at once; if not, `admit` has to tell."""
        if authorization:
            found = self.keyring.identify_fast(authorization)
            if found is not None and found.may(role, scope):
                return True
        return access.identity.may(role, scope)

    async def admit(
        self,
        access: ListenerAccess,
        authorization: bytes | None,
        route: str | None,
        scope: str | None,
        peer: str,
    ) -> Identity:
        """Who it is that may.

        Args:
            access: the way they came.
            authorization: the header's value.
            route: what is asked for; None: what is not there, which only who is known is told.
            scope: of which scope; None: of any, its body says which.
            peer: the client's address.

        Raises:
            Problem: they may not.
        """
        role = ROUTES.get(route) if route else None
        if route in OPEN:
            return NOBODY
        found = self.keyring.identify_fast(authorization)
        if found is None and _suffices(access.identity, role, scope):
            return access.identity
        if found is None and self.keyring.needs_time(authorization):
            self._slow_down(peer)
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._thread, self.keyring.identify, authorization)
        if found is not None:
            for identity in (found, access.identity):
                if _suffices(identity, role, scope):
                    return identity
            raise _forbidden(found)
        if authorization and not self.keyring.is_empty:
            self._slow_down(peer)
            self._count_failure(peer)
            raise _unauthorized("the credentials are wrong")
        if access.identity.name:
            raise _forbidden(access.identity)
        raise _unauthorized("this needs credentials: a bearer token, a user and password, or a certificate")

    def _slow_down(self, peer: str) -> None:
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
        if len(self._failures) >= _MOST_PEERS and peer not in self._failures:
            self._failures.clear()
        self._failures[peer] = (began, count + 1)


def _suffices(identity: Identity, role: Role | None, scope: str | None) -> bool:
    return identity.may(role, scope) if role else bool(identity.roles)


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": _CHALLENGE})


def _forbidden(identity: Identity) -> Problem:
    return Problem("forbidden", f"{identity.name} may not do this here")


def refuse_cross_site(headers: list[tuple[bytes, bytes]], identity: Identity) -> None:
    """Refuse a change that a page of another site has a browser ask for.

    Raises:
        Problem: it is one.
    """
    seen = {name: value.decode("latin-1") for name, value in headers}
    if seen.get(b"sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
        raise _cross_site()
    origin = seen.get(b"origin")
    if origin is None:
        return
    # Where no credential is asked for, a name that another site's DNS gives this address is no proof.
    host = urlsplit(origin).netloc
    if host != seen.get(b"host") or not (identity.name or _is_address(urlsplit(origin).hostname or "")):
        raise _cross_site()


def _cross_site() -> Problem:
    return Problem("cross-site", "a page of another site asked for this: no change is made for it")


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def scope_in(path: str, route: str | None) -> str | None:
    """The scope that trails ``route`` in ``path``, not checked yet; None: its body says which."""
    if route == "/v1/alerts":
        return None
    if route is None or not route.startswith("/v1/"):
        return ROOT
    return path[len(route) :].removeprefix("/")
