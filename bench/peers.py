"""The servers that are measured: the sidecar with all features on, and what could be used instead of it."""

from __future__ import annotations

import os
import resource
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from harness.ports import free_port
from harness.process import Process, eventually, program
from harness.sidecar import Sidecar
from harness.soak import pss_kb

from .machine import Machine, family
from .talk import TOKEN, Connection, request

ROOT = Path(__file__).parents[1]
_ROLES = ["worker", "agent", "webhook", "viewer", "operator"]
_LONGEST_WAIT_SECS = 600
_NCHAN = "ngx_nchan_module.so"
_MODULES = Path("/usr/lib/nginx/modules")


def memory_kb(pid: int) -> int:
    """The proportional set size (PSS) of a process and all its descendants."""
    return sum(pss_kb(one) for one in family(pid))


class Ours(Sidecar):
    """The sidecar with a credential, its limits, and a SQLite file.

    Args:
        machine: its core of the servers is used.
        scopes: the number of policies with a scope of their own: ``s/0``, ``s/1`` and so on.
        rules: the number of rules that each alert is compared with; 0: the built-in ones.
        port: the port on loopback; 0: any free one.
        restricted: requests per second that the scope ``restricted`` admits while it is concerned; 0: it is
            not restricted.
        settings: parts of the config that replace those of ``scopes`` and ``rules``.
    """

    def __init__(
        self,
        machine: Machine,
        scopes: int = 1,
        rules: int = 0,
        *,
        port: int = 0,
        restricted: float = 0.0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        matching = [
            {"matchers": [f'alertname="Rule{number}"'], "state": "concerned"} for number in range(rules)
        ]
        config: dict[str, Any] = {
            "auth": {"credentials": [{"name": "bench", "roles": _ROLES, "token_env": "BENCH_TOKEN"}]},
            "defaults": {
                "pause_on_distressed": True,
                "max_pause_secs": 0,
                "wait_timeout_secs": _LONGEST_WAIT_SECS,
            },
            "policies": [{"match": f"s/{number}"} for number in range(scopes)],
            "alerts": {"rules": matching},
            **(settings or {}),
        }
        if restricted:
            config["policies"].append({"match": "restricted", "restrict": {"concerned": restricted}})
        self.machine = machine
        self._config = config
        env = {"BENCH_TOKEN": TOKEN}
        super().__init__(config, env, "sqlite:state.db", port=port, inside=machine.pinned)

    def __enter__(self) -> Self:
        super().__enter__()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.machine.settle(self.pid)
        return self

    def touch_config(self) -> None:
        """Change a setting of all policies, for the next reload."""
        defaults = {**self._config["defaults"], "min_pause_secs": 1}
        self.configure({**self._config, "defaults": defaults})

    @property
    def folder(self) -> Path:
        """The file with the state."""
        return self.config_path.parent


class Nginx(Process):
    """nginx with one worker: ``/v1/gate`` answers 200, and ``/served`` a file.

    With nchan, ``/sub`` parks and ``/pub`` wakes.

    Args:
        machine: its core of the servers is used.
        nchan: whether to load the module nchan.
    """

    def __init__(self, machine: Machine, *, nchan: bool = False) -> None:
        self.machine = machine
        self._folder = tempfile.TemporaryDirectory(prefix="nginx-")
        folder = Path(self._folder.name)
        port = free_port()
        self.where = ("127.0.0.1", port)
        (folder / "nginx.conf").write_text(_nginx_conf(port, nchan=nchan))
        command = [*machine.pinned, program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
        super().__init__(command, folder)

    def __enter__(self) -> Self:
        try:
            eventually(lambda: self.alive() or accepts(self.where), "nginx listens")
            self.machine.settle(self.pid)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._folder.cleanup()

    @property
    def worker_pid(self) -> int:
        """The process id of the worker."""
        return family(self.pid)[1]

    def serve(self, data: bytes) -> None:
        """Answer ``/served`` with ``data``, from a file."""
        folder = Path(self._folder.name)
        # nginx's worker may run as another user.
        folder.chmod(0o755)
        (folder / "served").write_bytes(data)


def _nginx_conf(port: int, *, nchan: bool) -> str:
    module = f"load_module {_MODULES / _NCHAN};" if nchan else ""
    channel = """
            location /sub {
                nchan_subscriber longpoll;
                nchan_subscriber_first_message newest;
                nchan_channel_id bench;
            }
            location /pub { nchan_publisher; nchan_channel_id bench; }
    """
    memory = "nchan_shared_memory_size 256m;" if nchan else ""
    folders = "".join(
        f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
        {module}
        daemon off;
        worker_processes 1;
        worker_rlimit_nofile {_open_files()};
        pid nginx.pid;
        error_log stderr warn;
        events {{ worker_connections {_open_files()}; }}
        http {{
            access_log off;
            {folders}
            {memory}
            keepalive_requests 1000000000;
            keepalive_timeout 600s;
            server {{
                listen 127.0.0.1:{port} backlog=4096;
                location /v1/gate {{ return 200 "open"; }}
                location /served {{ root .; }}
                {channel if nchan else ""}
            }}
        }}
    """


def _open_files() -> int:
    """The number of connections: the limit of open files, less some for the worker itself."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Gunicorn(Process):
    """gunicorn with one worker and a small application.

    Args:
        machine: its core of the servers is used.
        arguments: further arguments of gunicorn.
        port: the port to listen on.
        env: further environment variables.
    """

    def __init__(self, machine: Machine, arguments: list[str], port: int, env: dict[str, str]) -> None:
        self.where = ("127.0.0.1", port)
        command = [
            *machine.pinned,
            *(sys.executable, "-m", "gunicorn", "--no-control-socket", "--log-level", "warning"),
            *("--bind", f"127.0.0.1:{port}", *arguments),
        ]
        super().__init__(command, ROOT, {**os.environ, **env})

    def __enter__(self) -> Self:
        return self

    def ready(self) -> Self:
        """Wait until the server listens."""
        eventually(lambda: self.alive() or accepts(self.where), "gunicorn listens")
        return self


class Uvicorn(Process):
    """uvicorn with one of the applications of `bench.middleware_app`.

    Args:
        machine: whose core it keeps to.
        name: the application.
        env: further environment variables.
    """

    def __init__(self, machine: Machine, name: str, env: dict[str, str]) -> None:
        self.where = ("127.0.0.1", free_port())
        command = [
            *machine.pinned,
            *(sys.executable, "-m", "uvicorn", "--factory", f"bench.middleware_app:{name}"),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
            *("--host", self.where[0], "--port", str(self.where[1])),
        ]
        super().__init__(command, ROOT, {**os.environ, **env})

    def __enter__(self) -> Self:
        try:
            eventually(lambda: self.alive() or accepts(self.where), "uvicorn listens")
        except BaseException:
            self.__exit__()
            raise
        return self


def hello(machine: Machine, port: int) -> Gunicorn:
    """Flask's hello-world, with the default settings of gunicorn."""
    return Gunicorn(machine, ["bench.hello:app"], port, {})


def objects(machine: Machine, series: Path) -> Gunicorn:
    """The series of the file ``series``, served by prometheus_client's own objects."""
    # The threaded worker keeps connections alive.
    arguments = ["--worker-class", "gthread", "bench.objects:app()"]
    return Gunicorn(machine, arguments, free_port(), {"WELLBEING_BENCH_SERIES": str(series)})


def accepts(where: tuple[str, int]) -> bool:
    """Whether a server listens there."""
    try:
        socket.create_connection(where, 1).close()
    except OSError:
        return False
    return True


def answers(where: tuple[str, int], target: str) -> bool:
    """Whether a request is answered with 200."""
    try:
        with Connection(where, 10) as connection:
            connection.ask(request("GET", target))
    except OSError:
        return False
    return True
