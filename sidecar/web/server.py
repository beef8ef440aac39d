"""gunicorn, as the sidecar runs it: one small master, one worker."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from sidecar.config import Config

from .asgi import Application
from .service import Service

GRACEFUL_SECS = 2
_HEARTBEAT_SECS = 60


class GunicornLogger(Logger):  # type: ignore[misc]
    """Leaves gunicorn's messages to the process's own logging."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Take no handlers."""
        self.cfg = cfg
        self._access_log_enabled = False
        for log in (self.error_log, self.access_log):
            log.handlers[:] = []
            log.propagate = True


class _Arbiter(Arbiter):  # type: ignore[misc]
    """Reloads by telling the worker; a new worker would lose who is parked."""

    def spawn_worker(self) -> Any:  # noqa: ANN401 - gunicorn's
        """Make a worker that shares what is loaded by now."""
        # What is frozen no collection looks at, and so it stays one copy in memory for both.
        gc.freeze()
        pid = super().spawn_worker()
        gc.enable()
        return pid

    def handle_hup(self) -> None:
        """SIGHUP: the worker loads its config anew."""
        for pid in list(self.WORKERS):
            os.kill(pid, signal.SIGHUP)


def _writable_folder(store: str) -> str | None:
    """Where the worker's heartbeat file may be when the root file system is read-only; None: anywhere."""
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
        config: as checked.
        load: loads the config anew, for a reload.
    """

    def __init__(self, config: Config, load: Callable[[], Config]) -> None:
        self._config = config
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what it has to know."""
        settings = {
            "bind": [one.address for one in self._config.listen],
            # A Unix socket is nobody else's until its own mode is set.
            "umask": 0o177,
            "worker_tmp_dir": _writable_folder(self._config.store.url),
            "workers": 1,
            "worker_class": "sidecar.web.worker.SidecarWorker",
            "logger_class": GunicornLogger,
            "proc_name": "wellbeing-sidecar",
            "graceful_timeout": GRACEFUL_SECS,
            "timeout": _HEARTBEAT_SECS,
            # A second sidecar, or a read-only home, would trip over it.
            "control_socket_disable": True,
            "keepalive": 75,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """The application; called in the worker."""
        return Application(Service(self._config, self._load))

    def run(self) -> None:
        """Serve until told to stop."""
        _Arbiter(self).run()
