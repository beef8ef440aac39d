"""Starts the sidecar by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Self

import requests
import yaml

from .fork_server import ForkedProcess, ForkServer
from .process import DEADLINE_SECS, Process, eventually, eventually_equal

_READ_BEFORE_MAIN = ("PYTHON", "LD_", "MALLOC_", "OPENSSL_", "SSL_")
"""Prefixes of environment variables that Python or a library reads before the sidecar's own code runs."""


class Sidecar(Process):
    """A running sidecar.

    Args:
        config: the content of the YAML file.
        env: additional environment variables.
        store: URL of the store; a path is relative to the folder.
        folder: working folder; None: a temporary folder.
        port: port to listen on; 0: any free port, which changes after a restart.
        listen: a second address to listen on.
        listen_flag: whether to listen on ``port``; if false, the config has the address.
        inside: a command that runs the sidecar, such as ``env`` or ``unshare``.
    """

    fork_server: ClassVar[ForkServer | None] = None
    """Starts sidecars faster; None: each is a new Python process."""
    _can_fork = False

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        store: str = "memory:",
        folder: Path | None = None,
        port: int = 0,
        listen: str | None = None,
        *,
        listen_flag: bool = True,
        inside: tuple[str, ...] = (),
    ) -> None:
        self._dir = tempfile.TemporaryDirectory(prefix="sidecar-")
        folder = folder or Path(self._dir.name)
        self.config_path = folder / "sidecar.yaml"
        self.configure(config or {})
        self._arguments = ["serve", "--config", str(self.config_path)]
        if listen_flag:
            self._arguments += ["--listen", f"127.0.0.1:{port}"]
        if listen:
            self._arguments += ["--listen", listen]
        self._arguments += ["--store", store, "--log-format", "json"]
        self._can_fork = not inside and not any(name.startswith(_READ_BEFORE_MAIN) for name in env or {})
        root = str(Path(__file__).parents[2])
        super().__init__(
            [*inside, sys.executable, "-m", "sidecar", *self._arguments],
            folder,
            {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
                **(env or {}),
            },
        )

    def _start(self) -> subprocess.Popen[str] | ForkedProcess:
        if self.fork_server and self._can_fork:
            return self.fork_server.start(self._arguments, self._cwd, self._env or {})
        return super()._start()

    def configure(self, config: dict[str, Any]) -> None:
        self.config_path.write_text(yaml.safe_dump(config))

    def __enter__(self) -> Self:
        try:
            self._find()
        except BaseException:
            self.__exit__()
            raise
        self.session = requests.Session()
        return self

    def restart(self) -> None:
        """Start the sidecar again after it was stopped or killed."""
        self.lines.clear()
        self.start()
        self._find()

    def _find(self) -> None:
        self.address = self.wait_log("listening")["addresses"][0]
        host, port = self.address.rsplit(":", 1)
        self.where = (host, int(port))
        self.url = f"http://{self.address}"

    def __exit__(self, *exc: object) -> None:
        if hasattr(self, "session"):
            self.session.close()
        super().__exit__(*exc)
        self._dir.cleanup()

    def logs(self, event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [line for line in lines if event is None or line["event"] == event]

    def wait_log(self, event: str) -> dict[str, Any]:
        def seen() -> list[dict[str, Any]]:
            self.alive()
            return self.logs(event)

        eventually(seen, f"log line {event}")
        return self.logs(event)[-1]

    # -- the HTTP API -----------------------------------------------------------------------------

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=30, **kwargs)

    def gate(self, scope: str = "", **params: Any) -> requests.Response:
        return self.get(f"/v1/gate/{scope}", params=params)

    def pause(self, scope: str = "", reason: str = "a test", **body: Any) -> dict[str, Any]:
        return self.ok(
            self.session.post(f"{self.url}/v1/pause/{scope}", json={"reason": reason, **body}, timeout=30)
        )

    def resume(self, scope: str = "") -> dict[str, Any]:
        return self.ok(self.session.post(f"{self.url}/v1/resume/{scope}", timeout=30))

    def claim(self, scope: str, state: str, **body: Any) -> dict[str, Any]:
        return self.ok(
            self.session.put(f"{self.url}/v1/state/{scope}", json={"state": state, **body}, timeout=30)
        )

    def ok_reload(self) -> str:
        answer = self.session.post(f"{self.url}/-/reload", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text

    def notify(self, body: bytes) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return self.session.post(f"{self.url}/v1/alerts", data=body, headers=headers, timeout=30)

    def status(self, scope: str = "", **params: Any) -> dict[str, Any]:
        return self.ok(self.get(f"/v1/status/{scope}", params=params))

    def counters(self, scope: str = "") -> dict[str, Any]:
        counters = self.status(scope)["counters"]
        assert_conserved(counters)
        return counters

    def metric(self, series: str) -> float:
        """The value of a series in the exposition."""
        value = self._metric(series)
        assert value is not None, f"no series {series}"
        return value

    def _metric(self, series: str) -> float | None:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(series + " "):
                return float(line.rpartition(" ")[2])
        return None

    def wait_for_metric(self, series: str, value: float) -> None:
        eventually(lambda: (self._metric(series) or 0.0) >= value, f"{series} reaches {value:g}")

    def wait_for_gate(self, scope: str, gate: str, timeout: float = DEADLINE_SECS) -> None:
        eventually_equal(
            lambda: self.status(scope)["gate"], gate, f"the gate of {scope!r} is {gate}", timeout
        )

    @property
    def worker_pid(self) -> int:
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    def wait_for_waiters(self, scope: str, count: int) -> None:
        eventually_equal(lambda: self.counters(scope)["waiters"], count, f"{count} waiters at {scope!r}")

    @staticmethod
    def ok(response: requests.Response) -> dict[str, Any]:
        assert response.status_code == 200, (response.status_code, response.text)
        return response.json()


def assert_conserved(counters: dict[str, Any]) -> None:
    """blocked = waited + timed_out + abandoned + rejected + waiters."""
    names = ("waited", "timed_out", "abandoned", "rejected")
    assert (
        counters["requests_blocked"]
        == sum(counters[f"requests_{name}"] for name in names) + counters["waiters"]
    )
