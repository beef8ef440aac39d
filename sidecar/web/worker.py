"""The gunicorn worker: uvicorn's, with the gate protocol at its door."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from sidecar.config import ConfigError, Listener
from sidecar.core.errors import CoreError
from sidecar.runtime.controller import ShuttingDown
from sidecar.store import StoreUnavailable
from sidecar.web.gate.protocol import protocol_factory

from .service import Service


class SidecarWorker(UvicornWorker):  # type: ignore[misc]
    """One event loop that owns all state."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - uvicorn's name and shape
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "interface": "asgi3",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": 1,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*args, **kwargs)
        raise_open_files()
        for name in ("uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).propagate = True

    async def _serve(self) -> None:
        application = self.wsgi
        self.config.app = application
        server = _Server(self.config, application.service)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class _Server(Server):
    """uvicorn's server, told of what it need not know elsewhere.

    Args:
        config: uvicorn's.
        service: answers who is parked before the server waits for its connections.
    """

    def __init__(self, config: Any, service: Service) -> None:  # noqa: ANN401
        super().__init__(config)
        self._service = service
        self._parent = os.getppid()
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401
        """Begin to accept at each socket what its listener allows, and say so."""
        # Without sockets it starts the application alone.
        await super().startup(sockets=[])
        loop, service = asyncio.get_running_loop(), self._service
        fast_path = service.fast_path
        fast_path.connections = self.server_state.connections
        fast_path.uvicorn = {
            "config": self.config,
            "server_state": self.server_state,
            "app_state": self.lifespan.state,
        }
        # gunicorn keeps them in the order that they are configured in.
        for listener, sock in zip(service.config.listen, sockets, strict=True):
            if listener.is_unix:
                os.chmod(listener.address.removeprefix("unix:"), listener.mode)  # noqa: PTH101 - no disk is asked
            tls = service.tls if service.tls and speaks_tls(listener) else None
            self.servers.append(
                await loop.create_server(
                    protocol_factory(fast_path, listener, certified=bool(tls and tls.config.client_ca_file)),
                    sock=sock,
                    ssl=tls.context if tls else None,
                    ssl_handshake_timeout=fast_path.limits.header_timeout_secs if tls else None,
                    backlog=self.config.backlog,
                )
            )
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        service.listening([_name(sock) for sock in sockets])

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop; also when the master is gone, which nobody else tells."""
        return await super().on_tick(counter) or os.getppid() != self._parent

    async def shutdown(self, sockets: Any = None) -> None:  # noqa: ANN401
        """Answer who is parked by either door, then let uvicorn close."""
        self._service.shut_down()
        await super().shutdown(sockets=sockets)

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_quietly())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload_quietly(self) -> None:
        try:
            await self._service.reload_in_loop()
        except (ConfigError, CoreError, StoreUnavailable, ShuttingDown):
            # It is logged, counted, and the config before still counts.
            return


def speaks_tls(listener: Listener) -> bool:
    """Whether TLS, where it is configured, is spoken at ``listener``."""
    return not listener.is_unix if listener.tls is None else listener.tls


def raise_open_files() -> None:
    """Let the process have as many connections as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _name(sock: Any) -> str:  # noqa: ANN401 - gunicorn's wrapper of a socket
    where = sock.getsockname()
    if isinstance(where, bytes):
        where = where.decode()
    if isinstance(where, str):
        return f"unix:{where}"
    host, port = where[0], where[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
