"""A real PostgreSQL for a test, from Debian's package: its own folder, its own port on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from .ports import free_port
from .process import Process, eventually


def _programs() -> Path:
    """The folder of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL is not installed: `tests/real/prepare litellm` installs it"
    return found[-1]


class PostgreSQL(Process):
    """A running PostgreSQL. Its data is deleted when it stops."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.port = free_port()
        # PostgreSQL refuses to run as root; its package has an account for it.
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(self._folder, user)
        data = self._folder / "data"
        make = [self._programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"]
        subprocess.run(make, check=True, cwd=self._folder, user=user, stdout=subprocess.DEVNULL)
        command = [self._programs / "postgres", "-D", data, "-p", self.port, "-k", self._folder]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        super().__init__([str(part) for part in command], self._folder, user=user)

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def sql(self, *statements: str) -> str:
        """Run statements, each in a transaction of its own, and return what they print."""
        command = [self._programs / "psql", self.url, "-qAtX", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(
            command, input="\n".join(statements), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def __enter__(self) -> Self:
        def is_up() -> bool:
            self.alive()
            ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            return subprocess.run(ready, check=False).returncode == 0

        try:
            eventually(is_up, "PostgreSQL accepts connections")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
