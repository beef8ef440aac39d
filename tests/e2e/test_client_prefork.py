"""Servers that load the application once and then fork: no worker passes requests at a gate that was closed
meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import requests

from harness.ports import free_port
from harness.process import Process, eventually, eventually_equal
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
WORKERS = 3


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with Sidecar({"defaults": {"max_pause_secs": 0}}) as running:
        yield running


def environment(sidecar: Sidecar, scope: str, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'servers'}",
        "WELLBEING_URL": sidecar.url,
        "WELLBEING_SCOPE": scope,
        "WELLBEING_CLIENT_REPORT_SECS": "0.2",
        **more,
    }


class WebServer(Process):
    """A server of the WSGI application, with some workers."""

    def __init__(self, sidecar: Sidecar, scope: str, command: list[str], listens: str) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}/"
        self._listens = listens
        given = [one.format(address=address, workers=WORKERS) for one in command]
        super().__init__([sys.executable, *given], ROOT, environment(sidecar, scope))

    def __enter__(self) -> Self:
        eventually(lambda: self.alive() or self._listens in "".join(self.lines), "the server listens")
        return self

    def statuses(self) -> set[int]:
        return {requests.get(self.url, timeout=30).status_code for _ in range(30)}


GUNICORN = ["-m", "gunicorn", "--no-control-socket", "--preload", "-w", "{workers}", "-b", "{address}"]
UWSGI = [
    "-c",
    "import pyuwsgi; pyuwsgi.run()",
    *("--master", "--die-on-term", "--need-app", "--processes", "{workers}", "--http-socket", "{address}"),
    *("--module", "gated_wsgi:app"),
]
# Debian 12 has 2.0.21, which has no threads without enable-threads.
DEBIANS_UWSGI = [
    "-c",
    "import os, sys; os.execvp('uwsgi-core', ['uwsgi-core', '--plugin', 'python3', *sys.argv[1:]])",
    *UWSGI[2:],
]
SERVERS = {
    "gunicorn-sync": ([*GUNICORN, "-k", "sync", "gated_wsgi:app"], "Listening at"),
    "gunicorn-gthread": ([*GUNICORN, "-k", "gthread", "--threads", "4", "gated_wsgi:app"], "Listening at"),
    "gunicorn-gevent": ([*GUNICORN, "-k", "gevent", "gated_wsgi:app"], "Listening at"),
    "uwsgi": (UWSGI, "spawned uWSGI worker"),
    "uwsgi-fork-hooks": ([*UWSGI, "--py-call-uwsgi-fork-hooks"], "spawned uWSGI worker"),
    # Start one process: without a master, nothing would end the other processes.
    "uwsgi-no-master": (
        [one.format(address="{address}", workers=1) for one in UWSGI if one != "--master"],
        "spawned uWSGI worker",
    ),
    "uwsgi-no-threads": (DEBIANS_UWSGI, "spawned uWSGI worker"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_workers_of_a_preloaded_server_obey_a_closed_gate(sidecar: Sidecar, name: str) -> None:
    sidecar.claim(name, "cautious")
    with WebServer(sidecar, name, *SERVERS[name]) as server:
        # Before the first request to any worker.
        sidecar.pause(name)
        assert server.statuses() == {503}
        sidecar.resume(name)
        eventually_equal(server.statuses, {200}, "all workers see the resume")
        sidecar.pause(name)
        eventually_equal(server.statuses, {503}, "all workers see the pause")


def test_a_host_without_threads_is_logged_with_the_remedy(sidecar: Sidecar) -> None:
    sidecar.claim("no-threads", "cautious")
    with WebServer(sidecar, "no-threads", *SERVERS["uwsgi-no-threads"]) as server:
        assert server.statuses() == {200}
        said = "background threads do not run in this process: uWSGI runs without threads"
        eventually(lambda: said in "".join(server.lines), "the remedy is logged")
        assert "Remedy: set enable-threads = true" in "".join(server.lines)
        # The threads of the requests send the reports.
        eventually(
            lambda: server.statuses() and sidecar.status("no-threads")["counters"]["requests_total"] >= 30,
            "the requests are reported",
        )


class CeleryWorker(Process):
    """A Celery worker with a pool of processes, and a client that sends it tasks."""

    def __init__(self, sidecar: Sidecar, scope: str, folder: Path) -> None:
        for name in ("queue", "control", "results"):
            (folder / name).mkdir()
        self._env = environment(sidecar, scope, CELERY_FOLDER=str(folder))
        command = ["-m", "celery", "-A", "gated_celery", "worker", "--pool", "prefork", "-c", str(WORKERS)]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "info"]
        super().__init__([sys.executable, *command], folder, self._env)

    def __enter__(self) -> Self:
        eventually(lambda: self.alive() or " ready." in "".join(self.lines), "the worker is ready")
        return self

    def answers(self) -> tuple[set[str], set[int]]:
        """The results of one round of tasks, and the processes that ran them."""
        script = (
            "import json; from celery_queue import app;"
            "sent = [app.send_task('ask') for _ in range(12)];"
            "print(json.dumps([one.get(timeout=60) for one in sent]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=self._env, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + "".join(self.lines)
        answers = json.loads(done.stdout)
        return {said for said, _ in answers}, {pid for _, pid in answers}


def test_the_processes_of_a_celery_pool_obey_a_closed_gate(sidecar: Sidecar, tmp_path: Path) -> None:
    sidecar.claim("celery", "cautious")
    with CeleryWorker(sidecar, "celery", tmp_path) as worker:
        sidecar.pause("celery")
        said, pids = worker.answers()
        assert said == {"paused"}
        assert worker.pid not in pids
        sidecar.resume("celery")
        eventually_equal(lambda: worker.answers()[0], {"passed"}, "the pool sees the resume")
        sidecar.pause("celery")
        eventually_equal(lambda: worker.answers()[0], {"paused"}, "the pool sees the pause")
