"""Starts a real Redis."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from .ports import free_port
from .process import Process, eventually, program


class RedisServer(Process):
    """A running Redis. By default it keeps every acknowledged command.

    Args:
        options: options of the config, by name.
        port: its port; 0: any free one.
        folder: its working folder; None: a temporary one.
    """

    def __init__(
        self, options: dict[str, str] | None = None, port: int = 0, folder: Path | None = None
    ) -> None:
        self._dir = tempfile.TemporaryDirectory(prefix="redis-")
        self.folder = folder or Path(self._dir.name)
        self.port = port or free_port()
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "logfile": "redis.log",
            "repl-diskless-sync-delay": "0",
            **(options or {}),
        }
        path = self.folder / "redis.conf"
        path.write_text("".join(f"{key} {value or chr(34) * 2}\n" for key, value in settings.items()))
        self.url = f"redis://127.0.0.1:{self.port}"
        super().__init__([program("redis-server"), str(path)], self.folder)

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(self, *exc: object) -> None:
        # Do not use SIGTERM: Redis ignores it while it writes the first append-only file of a replica.
        if self._popen.poll() is None:
            self.kill()
        super().__exit__(*exc)
        self._dir.cleanup()

    def wait_ready(self) -> None:
        eventually(lambda: self.cli("ping").startswith(("PONG", "NOAUTH")), "redis answers")

    def restart(self) -> None:
        """Start Redis again after `kill`."""
        self.start()
        self.wait_ready()

    def wipe(self) -> None:
        """Delete the files of a stopped Redis."""
        for path in (*self.folder.glob("appendonlydir/*"), *self.folder.glob("*.rdb")):
            path.unlink()

    def cli(self, *args: str) -> str:
        """The output of ``redis-cli`` for a command."""
        command = [program("redis-cli"), "-p", str(self.port), *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()

    def suspend(self) -> None:
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._popen.send_signal(signal.SIGCONT)


def wait_equal(read, what: str, timeout: float = 30.0) -> object:
    """Wait until all values that ``read`` returns are equal, and return that value."""
    values: list[object] = []

    def are_equal() -> bool:
        values[:] = read()
        return all(value == values[0] for value in values)

    eventually(are_equal, f"{what} are equal", timeout)
    return values[0]
