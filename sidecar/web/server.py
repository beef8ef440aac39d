"""The gunicorn server of the sidecar: a small master process and one worker."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from sidecar.auth import CredentialsError
from sidecar.config import Config

from .arbiter import SidecarArbiter
from .asgi import Application
from .service import Service
from .tls import TlsError

logger = logging.getLogger(__name__)

GRACEFUL_SECS = 2
_HUNG_SECS = 60


class GunicornLogger(Logger):  # type: ignore[misc]
    """Passes gunicorn's messages to the process's own logging."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Remove gunicorn's own handlers."""
        self.cfg = cfg
        self._access_log_enabled = False
        for log in (self.error_log, self.access_log):
            log.handlers[:] = []
            log.propagate = True


def _writable_folder(store: str) -> str | None:
    """A writable folder for the worker's heartbeat file; None: use gunicorn's default."""
    kind, _, path = store.partition(":")
    beside = str(Path(path).absolute().parent) if kind == "sqlite" else "/dev/shm"  # noqa: S108
    folders = (tempfile.gettempdir() if _has_temporary_folder() else "", "/dev/shm", beside)  # noqa: S108
    return next((folder for folder in folders if folder and os.access(folder, os.W_OK)), None)


def _has_temporary_folder() -> bool:
    try:
        return bool(tempfile.gettempdir())
    except FileNotFoundError:
        return False


class SidecarServer(BaseApplication):  # type: ignore[misc]
    """The sidecar under gunicorn.

    Args:
        config: the validated config.
        load: loads the config again, for a reload.
        config_file: the path of the config file; empty: there is none.
    """

    def __init__(self, config: Config, load: Callable[[], Config], config_file: str = "") -> None:
        self.config_file = config_file
        self._config = config
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's settings."""
        settings = {
            "bind": [one.address for one in self._config.listen],
            # Before the mode of a Unix socket is set, only this user may use the socket.
            "umask": 0o177,
            "worker_tmp_dir": _writable_folder(self._config.store.url),
            "workers": 1,
            "worker_class": "sidecar.web.worker.SidecarWorker",
            "logger_class": GunicornLogger,
            "proc_name": "wellbeing-sidecar",
            "graceful_timeout": GRACEFUL_SECS,
            "timeout": _HUNG_SECS,
            # The control socket would fail for a second sidecar and on a read-only home.
            "control_socket_disable": True,
            "keepalive": 75,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """The application. Called in the worker process."""
        try:
            return Application(Service(self._config, self._load))
        except (CredentialsError, TlsError) as error:
            # A file that existed when the master started cannot be used any more.
            logger.critical("start_failed", extra={"fields": {"error": str(error)}})
            sys.exit(SidecarArbiter.WORKER_BOOT_ERROR)

    def run(self) -> None:
        """Serve until a signal stops it, then exit.

        Raises:
            StartError: the sidecar cannot listen, or cannot start a worker.
        """
        SidecarArbiter(self, [one.address for one in self._config.listen]).run()
