"""The gunicorn worker: uvicorn's worker with the sidecar's gate protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from sidecar import __version__
from sidecar.config import ConfigError, Listener, describe_pausing
from sidecar.core.errors import CoreError
from sidecar.runtime.command_queue import ShuttingDown
from sidecar.store import StoreUnavailable
from sidecar.web.gate.protocol import protocol_factory

from .arbiter import BLOCKED_SIGNALS
from .asgi import Application
from .stores import store_name

logger = logging.getLogger(__name__)

_TICKS_PER_HEARTBEAT = 10
_DEFAULT_URL = "http://127.0.0.1:9477"
_MASTER_ONLY = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH)
"""Signals that the master refuses. By default they would stop or kill the worker."""


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
        # The file's creation time would look like a heartbeat. 0: there was no heartbeat yet.
        os.utime(self.tmp.fileno(), (0, 0))
        self.reload_requested = False
        raise_open_file_limit()
        for name in ("uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).propagate = True
        logging.getLogger("uvicorn.error").addFilter(_is_worth_logging)

    def init_signals(self) -> None:
        """Replace the master's handlers."""
        super().init_signals()
        for number in _MASTER_ONLY:
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            # These handlers apply until the server installs its own. Nothing is open yet.
            signal.signal(number, _exit_at_once)
        signal.signal(signal.SIGHUP, self._request_reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """SIGUSR1: nothing. There are no log files to open again."""

    def _request_reload(self, _: int, __: FrameType | None) -> None:
        self.reload_requested = True

    async def _serve(self) -> None:
        application = self.wsgi
        self.config.app = application
        server = _Server(self.config, application, self)
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None
        )
        try:
            await server.serve(sockets=self.sockets)
        except OSError as error:
            if server.started:
                raise
            logger.critical("start_failed", extra={"fields": {"error": f"cannot listen: {error}"}})
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Whether to log a record of uvicorn: ``start_failed`` already says why the sidecar did not start."""
    return not record.getMessage().startswith(("Application startup failed", "Cancel "))


def _exit_at_once(_: int, __: FrameType | None) -> NoReturn:
    os._exit(0)


class _Server(Server):
    """uvicorn's server, with the sidecar's listeners and heartbeat.

    Args:
        config: uvicorn's.
        application: answers parked requests before the server waits for its connections to close.
        worker: gunicorn's, with the heartbeat.
    """

    def __init__(self, config: Any, application: Application, worker: SidecarWorker) -> None:  # noqa: ANN401
        super().__init__(config)
        self._application = application
        self._service = application.service
        self._worker = worker
        self._parent = os.getppid()
        self._reloads: set[asyncio.Task[None]] = set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """Stop. uvicorn would raise the signal again at the end, and the signal would kill the process."""
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401
        """Start to accept connections at each socket, and log the addresses."""
        # Without sockets, uvicorn only starts the application.
        await super().startup(sockets=[])
        loop, service = asyncio.get_running_loop(), self._service
        fast_path = service.fast_path
        fast_path.connections = self.server_state.connections
        fast_path.commands = self._application
        fast_path.uvicorn = {
            "config": self.config,
            "server_state": self.server_state,
            "app_state": self.lifespan.state,
        }
        if service.tls is not None:
            service.tls.context.on_refused = partial(fast_path.count_refusal, "too-many-connections")
        # gunicorn keeps the sockets in the order of the config.
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
        addresses = [_address_of(sock) for sock in sockets]
        service.set_addresses(addresses)
        self._log_start(addresses)
        await service.log_unused()
        if self._worker.reload_requested:
            self._reload()

    def _log_start(self, addresses: list[str]) -> None:
        config = self._service.config
        fields = {
            "version": __version__,
            "addresses": addresses,
            "config": self._worker.app.config_file or "none: defaults, environment and flags",
            "store": store_name(config),
            "pauses": describe_pausing(config.policies),
        }
        logger.info("listening", extra={"fields": fields})
        if config.log_format == "console" and sys.stderr.isatty():
            sys.stderr.write(next_steps(self._service.page_url, addresses[0]))

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second. Return whether to stop, for example because the master is gone."""
        if counter % _TICKS_PER_HEARTBEAT == 0:
            self._worker.notify()
        return await super().on_tick(counter) or os.getppid() != self._parent

    async def shutdown(self, sockets: Any = None) -> None:  # noqa: ANN401
        """Answer the parked requests, then let uvicorn close."""
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
            # The failure is logged and counted, and the previous config stays in use.
            return


def next_steps(page_url: str, address: str) -> str:
    """The next steps for a person at a terminal.

    Args:
        page_url: URL of the status page; empty: there is none.
        address: the first address of the sidecar.
    """
    url = page_url.rstrip("/") or address
    option = "" if url == _DEFAULT_URL else f" --url {url}"
    page = f"  Status page:    {page_url}\n" if page_url else ""
    return (
        f"\n{page}"
        f"  Pause by hand:  wellbeing-sidecar pause SCOPE --reason TEXT{option}\n"
        f"  Resume:         wellbeing-sidecar resume SCOPE{option}\n"
        f"  See it all:     wellbeing-sidecar status{option}\n"
        "  Stop:           Ctrl-C\n\n"
    )


def speaks_tls(listener: Listener) -> bool:
    """Whether ``listener`` uses TLS if TLS is configured."""
    return not listener.is_unix if listener.tls is None else listener.tls


def raise_open_file_limit() -> None:
    """Raise the limit of open files to the system's maximum, for as many connections as possible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _address_of(sock: Any) -> str:  # noqa: ANN401 - gunicorn's wrapper of a socket
    where = sock.getsockname()
    if isinstance(where, bytes):
        where = where.decode()
    if isinstance(where, str):
        return f"unix:{where}"
    host, port = where[0], where[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
