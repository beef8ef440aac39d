"""The sidecar as a process: start, failed start, signals, freezing, killing and stopping."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest
import requests

from harness.process import Process, eventually_equal, program
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]


def serve(folder: Path, *arguments: str, env: dict | None = None, inside: tuple[str, ...] = ()):
    """The output and exit status of a sidecar that cannot start."""
    command = [*inside, sys.executable, "-m", "sidecar", "serve", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.run(
        command, check=False, cwd=folder, env=environ, capture_output=True, text=True, timeout=30
    )


def the_line(done: subprocess.CompletedProcess, status: int) -> str:
    """The only line of its output."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "Traceback" not in line
    return line


# -- start --------------------------------------------------------------------------------------------


def test_one_log_line_at_start_describes_the_process(tmp_path: Path) -> None:
    with Sidecar({"policies": [{"match": "a", "pause_on_distressed": True}]}, store="sqlite:a.db") as own:
        [line] = own.logs("listening")
        assert line["addresses"] == [own.address]
        assert line["version"]
        assert line["config"] == str(own.config_path)
        assert line["store"] == "sqlite:a.db"
        assert line["pauses"] == "a"
    with Sidecar() as own:
        assert own.logs("listening")[0]["pauses"] == "nothing: pause_on_distressed is false everywhere"


# -- failed starts ------------------------------------------------------------------------------------


def test_a_port_in_use_is_reported_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = the_line(serve(tmp_path, "--store", "memory:", "--listen", address), 3)
    assert f"{address} is in use by another process: stop that one, or use another port" in line


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("unix:{folder}/nowhere/x.sock", "nowhere does not exist: make it, or use another path"),
        ("unix:{folder}/file/x.sock", "file does not exist: make it, or use another path"),
        ("unix:{folder}/file", "exists and is not a socket: remove it, or use another path"),
        ("unix:{folder}", "exists and is not a socket: remove it, or use another path"),
        ("no-such-host.invalid:80", "no host is named no-such-host.invalid"),
        ("192.0.2.1:80", "192.0.2.1:80 is not an address of this machine"),
    ],
)
def test_an_unusable_address_is_reported_at_once(tmp_path: Path, address: str, said: str) -> None:
    (tmp_path / "file").write_text("precious")
    address = address.format(folder=tmp_path)
    env = {"WELLBEING_AUTH__INSECURE": "true"}
    line = the_line(serve(tmp_path, "--store", "memory:", "--listen", address, env=env), 3)
    assert said in line
    assert (tmp_path / "file").read_text() == "precious"


def test_a_socket_path_that_is_too_long_is_a_config_error(tmp_path: Path) -> None:
    line = the_line(serve(tmp_path, "--store", "memory:", "--listen", "unix:/" + "x" * 200), 2)
    assert "--listen: the path of a Unix socket may have at most 107 bytes: shorten" in line


def test_the_socket_of_a_running_sidecar_is_not_taken_away(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/a.sock"
    with Sidecar(listen=address) as own:
        line = the_line(serve(tmp_path, "--store", "memory:", "--listen", address), 3)
        assert f"{address} is in use by another process" in line
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/a.sock")
        own.kill()
    # The socket file of a killed sidecar is replaced.
    with Sidecar(listen=address):
        pass
    assert not Path(tmp_path, "a.sock").exists()


def test_the_first_of_two_addresses_is_released_if_the_second_fails(tmp_path: Path) -> None:
    first = f"unix:{tmp_path}/a.sock"
    the_line(
        serve(tmp_path, "--store", "memory:", "--listen", first, "--listen", "unix:/nonexistent/b.sock"), 3
    )
    assert not Path(tmp_path, "a.sock").exists()


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (
            "sqlite:nowhere/a.db",
            "store: nowhere/a.db cannot be opened: the folder nowhere does not exist: make it",
        ),
        ("sqlite:.", "cannot be opened: it is a folder: name a file in it, as sqlite:wellbeing.db"),
        ("sqlite:file/a.db", "file/a.db cannot be opened: the folder file does not exist: make it"),
        ("sqlite:file", "is damaged or not a store"),
        ("sqlite:/proc/a.db", "store /proc/a.db cannot be opened"),
        ("sqlite:/dev/null", "/dev/null cannot be opened: it is not a regular file: name another file"),
    ],
)
def test_an_unusable_store_is_reported_at_once(tmp_path: Path, store: str, said: str) -> None:
    (tmp_path / "file").write_text("precious, and no database\n" * 100)
    line = the_line(serve(tmp_path, "--store", store, "--listen", "127.0.0.1:0"), 3)
    assert "start_failed" in line
    assert said in line


def test_a_missing_permission_is_reported_at_once(tmp_path: Path) -> None:
    # Root may do everything unless these capabilities are dropped.
    weak = (program("setpriv"), "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    tmp = ("--listen", "127.0.0.1:0")
    folder = tmp_path / "folder"
    folder.mkdir()
    database, config = folder / "a.db", folder / "secret.yaml"
    for file in (database, config):
        file.touch(mode=0o000)
    said = the_line(serve(tmp_path, "--store", f"sqlite:{database}", *tmp, inside=weak), 3)
    assert f"{database} cannot be opened: this user may not read and write it" in said
    said = the_line(serve(tmp_path, "--config", str(config), inside=weak), 2)
    assert f"{config}: cannot be read: Permission denied" in said
    folder.chmod(0o555)
    said = the_line(serve(tmp_path, "--store", f"sqlite:{folder}/b.db", *tmp, inside=weak), 3)
    assert f"{folder}/b.db cannot be opened: the folder {folder} is not writable: make it writable" in said
    said = the_line(
        serve(tmp_path, "--store", "memory:", "--listen", f"unix:{folder}/x.sock", inside=weak), 3
    )
    assert f"the folder {folder} is not writable: make it writable, or use another path" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not YAML"),
        (b"a: [", "not YAML"),
        (b"\0\0\0", "not YAML"),
        (b"- 1", "must be a mapping"),
    ],
)
def test_a_file_that_is_not_a_config_is_reported_in_one_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    assert said in the_line(serve(tmp_path, "--config", "bad.yaml"), 2)
    assert "cannot be read: Is a directory" in the_line(serve(tmp_path, "--config", "."), 2)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("tls:\n  cert_file: /nowhere/c\n  key_file: /nowhere/k\n", "a.yaml:2: tls.cert_file: /nowhere/c cannot be read"),
        (
            "auth:\n  credentials:\n    - {name: a, roles: [viewer], token_file: /nowhere/t}\n",
            "auth: a: token_file /nowhere/t: No such file or directory",
        ),
        (
            "auth:\n  credentials:\n    - {name: a, roles: [viewer], token_env: NOT_THERE}\n",
            "auth: a: the token in $NOT_THERE is shorter than 16 characters",
        ),
    ],
)  # fmt: skip
def test_a_missing_secret_or_certificate_is_reported_in_one_line(
    tmp_path: Path, config: str, said: str
) -> None:
    (tmp_path / "a.yaml").write_text(config)
    assert said in the_line(serve(tmp_path, "--config", "a.yaml", "--store", "memory:"), 2)


def test_a_token_missing_at_a_worker_restart_is_reported_in_one_line(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-that-is-good")
    credential = {"name": "a", "roles": ["viewer"], "token_file": str(token)}
    with Sidecar({"auth": {"credentials": [credential]}}) as own:
        token.unlink()
        os.kill(own.worker_pid, signal.SIGKILL)
        assert own.wait() == 3
        failed = own.logs("start_failed")
        assert len(failed) == 1
        assert f"token_file {token}: No such file or directory" in failed[0]["error"]
        assert not any("Traceback" in line for line in own.lines)


# -- signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
@pytest.mark.parametrize("to_all", [False, True], ids=["master", "terminal"])
def test_a_stop_signal_is_logged_in_one_line(name: str, to_all: bool) -> None:
    with Sidecar() as own:
        lines = len(own.lines)
        # A terminal sends Ctrl-C to each of its processes.
        for pid in [own.pid, *([own.worker_pid] if to_all else [])]:
            os.kill(pid, signal.Signals[name])
        assert own.wait() == 0
        [line] = own.lines[lines:]
        assert (json.loads(line)["event"], json.loads(line)["signal"]) == ("stopping", name)


def test_a_stop_answers_parked_requests_and_is_logged_in_one_line() -> None:
    with Sidecar() as own:
        own.pause("a")
        answers = []
        asking = threading.Thread(target=lambda: answers.append(own.gate("a", wait=30)))
        asking.start()
        own.wait_for_waiters("a", 1)
        stream = requests.get(own.url + "/v1/events", stream=True, timeout=30)
        lines = len(own.lines)
        own.signal(signal.SIGINT)
        assert own.wait() == 0
        asking.join(30)
        stream.close()
        assert answers[0].json()["type"] == "/problems/shutting-down"
        assert [json.loads(line)["event"] for line in own.lines[lines:]] == ["stopping"]


def test_a_stop_signal_during_the_start_is_logged_in_one_line(tmp_path: Path) -> None:
    """The signal may come at any moment after the sidecar's own code has begun to run."""
    for nth in range(12):
        command = [sys.executable, "-X", "importtime", "-m", "sidecar", "serve", "--store", "memory:"]
        started = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        seen = []
        with started:
            # Each import writes a line to stderr, so a test can wait for this moment.
            for line in started.stderr:
                seen.append(line)
                if "sidecar.cli.exit_statuses" in line:
                    break
            seen += [started.stderr.readline() for _ in range(nth * 25)]
            started.send_signal(signal.SIGTERM if nth % 2 else signal.SIGINT)
            rest = started.stderr.read()
            assert started.wait(30) == 0, rest
        # Lines about the worker's imports may come between other lines, and even within a line.
        assert rest.count("info     stopping signal=SIG") == 1, rest
        assert not any(word in rest for word in ("Traceback", "Exception in", " error ", " critical ")), rest


@pytest.mark.parametrize(
    "arguments",
    [
        ("check-config", os.devnull),
        ("status", "--url", "http://127.0.0.1:9"),
        ("gate", "a", "--url", "http://127.0.0.1:9"),
        ("backtest", "--help"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_signal_at_any_moment_of_a_command_shows_no_traceback(arguments: tuple[str, ...]) -> None:
    for nth in range(8):
        started = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "sidecar", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        number = signal.SIGTERM if nth % 2 else signal.SIGINT
        with started:
            for line in started.stderr:
                if "sidecar.cli.exit_statuses" in line:
                    break
            for _ in range(nth * 12):
                started.stderr.readline()
            started.send_signal(number)
            rest = [line for line in started.stderr if not line.startswith("import time:")]
            # The command may have ended already. Python removes its handlers before it exits, and then SIGINT
            # itself ends the process. A shell reports that as 130, too.
            ended = started.wait(30)
        assert ended in (*((130, -signal.SIGINT), (-signal.SIGTERM,))[nth % 2], 0, 1, 75), (nth, ended, rest)
        assert not any("Traceback" in line or "Exception" in line or "Fatal" in line for line in rest), rest
        assert len(rest) <= 1, rest


def test_a_command_handles_signals_before_it_imports_other_modules() -> None:
    script = (
        "import sys; before = set(sys.modules); import sidecar.cli; print(*sorted({*sys.modules} - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) <= {"__future__", "sidecar", "sidecar.cli", "sidecar.cli.interrupts"}


@pytest.mark.parametrize("name", ["SIGTTIN", "SIGTTOU", "SIGUSR2", "SIGWINCH"])
def test_the_gunicorn_signals_for_more_or_new_processes_are_refused(name: str) -> None:
    with Sidecar() as own:
        worker = own.worker_pid
        own.signal(signal.Signals[name])
        assert own.wait_log("signal_refused")["signal"] == name
        # By default, these signals stop or end a worker.
        os.kill(worker, signal.Signals[name])
        assert own.gate("a").status_code == 200
        children = Path(f"/proc/{own.pid}/task/{own.pid}/children").read_text().split()
        assert children == [str(worker)]


def test_sigusr1_does_nothing_and_sighup_reloads() -> None:
    with Sidecar() as own:
        worker = own.worker_pid
        for pid in (own.pid, worker):
            os.kill(pid, signal.SIGUSR1)
        own.configure({"defaults": {"pause_on_distressed": True}})
        own.signal(signal.SIGHUP)
        own.wait_log("reloaded")
        assert own.claim("a", "distressed")["gate"] == "closed"
        assert own.worker_pid == worker
        assert [line["event"] for line in own.logs() if line["level"] != "info"] == []


# -- suspension, hangs, crashes ----------------------------------------------------------------------


class Impatient(Sidecar):
    """A sidecar that considers its worker hung after 3 s instead of 60 s."""

    _PROGRAM = """
import sys
from sidecar.cli import main
from sidecar.web import arbiter, server
server._HUNG_SECS, arbiter._MAX_CHECK_INTERVAL_SECS = 3, 1.0
sys.exit(main(["serve", "--listen", "127.0.0.1:0", "--store", "memory:", "--log-format", "json"]))
"""

    def __init__(self, folder: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._dir = contextlib.nullcontext()
        self._dir.cleanup = lambda: None
        Process.__init__(self, [sys.executable, "-c", self._PROGRAM], folder, env)


def test_a_suspended_sidecar_continues_with_its_parked_requests(tmp_path: Path) -> None:
    with Impatient(tmp_path) as own:
        own.pause("a")
        answers = []
        asking = threading.Thread(target=lambda: answers.append(own.gate("a", wait=60).status_code))
        asking.start()
        own.wait_for_waiters("a", 1)
        worker = own.worker_pid
        for first in (own.pid, worker):
            group = [first, *({own.pid, worker} - {first})]
            for pid in group:
                os.kill(pid, signal.SIGSTOP)
            # The process is frozen for this time, which is longer than a worker may be silent.
            threading.Event().wait(5)
            for pid in group:
                os.kill(pid, signal.SIGCONT)
            assert own.status("a")["counters"]["waiters"] == 1
        # If the master killed the worker, it would do so within two of its checks.
        own.signal(signal.SIGTTIN)
        own.wait_log("signal_refused")
        own.resume("a")
        asking.join(30)
        assert answers == [200]
        assert own.worker_pid == worker
        assert own.logs("worker_hung") == []


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with Impatient(tmp_path) as own:
        worker = own.worker_pid
        own.gate("a")
        os.kill(worker, signal.SIGSTOP)
        assert own.wait_log("worker_hung")["pid"] == worker
        eventually_equal(lambda: len(own.logs("listening")), 2, "the next worker listens")
        own.session = requests.Session()
        assert own.gate("a").status_code == 200


def test_a_worker_that_dies_is_replaced_and_the_state_is_kept() -> None:
    with Sidecar(store="sqlite:a.db", listen_flag=True, port=0) as own:
        own.pause("a", max_pause_secs=0)
        worker = own.worker_pid
        os.kill(worker, signal.SIGKILL)
        ended = own.wait_log("worker_ended")
        assert (ended["pid"], ended["by"]) == (worker, "SIGKILL")
        eventually_equal(lambda: len(own.logs("listening")), 2, "the next worker listens")
        own.session = requests.Session()
        assert own.status("a")["gate"] == "closed"
        assert not any("Traceback" in line for line in own.lines)


def test_a_removed_socket_file_does_not_prevent_a_clean_stop(tmp_path: Path) -> None:
    with Sidecar(listen=f"unix:{tmp_path}/a.sock") as own:
        Path(tmp_path, "a.sock").unlink()
        own.signal(signal.SIGTERM)
        assert own.wait() == 0
        assert not any("Traceback" in line for line in own.lines)


def test_a_terminal_shows_no_traceback_for_ctrl_c(tmp_path: Path) -> None:
    leader, follower = os.openpty()
    started = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "serve", "--store", "memory:", "--listen", "127.0.0.1:0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        preexec_fn=_own_terminal,  # noqa: PLW1509 - only the child can take the terminal
    )
    os.close(follower)
    shown = ""
    with os.fdopen(leader, "rb", buffering=0) as terminal, started:
        while "listening" not in shown:
            shown += os.read(leader, 4096).decode()
        terminal_in = os.dup(leader)
        os.write(terminal_in, b"\x03")
        os.close(terminal_in)
        # Reading from a terminal raises an error when no process has it open any more.
        with contextlib.suppress(OSError):
            while data := terminal.read(4096):
                shown += data.decode()
        assert started.wait(30) == 0
    assert shown.count("stopping signal=SIGINT") == 1
    assert "Traceback" not in shown


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
