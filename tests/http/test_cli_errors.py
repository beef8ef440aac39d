"""The messages of the command line about a sidecar that cannot be reached, is another program, or refuses a
request."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.sidecar import Sidecar
from harness.tls import certify
from sidecar.cli import main
from sidecar.cli.client_arguments import DEFAULT_URL
from sidecar.cli.parser import parse

HTML = b"<html>nginx</html>"


@pytest.fixture(autouse=True)
def _clean(monkeypatch) -> None:
    for name in ("WELLBEING_URL", "WELLBEING_TOKEN", "WELLBEING_TOKEN_FILE", "WELLBEING_CLIENT_CA_FILE"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def answering(*answers: bytes | None) -> Iterator[str]:
    """The URL of a server that reads each request, sends the next answer and closes; None: it never answers.

    The last answer is repeated.
    """
    left = list(answers)
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    connection.recv(65_536)
                    data = left.pop(0) if len(left) > 1 else left[0]
                    if data is not None:
                        connection.sendall(data)
                        connection.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in held:
                connection.close()


def response(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def fails(capsys, *arguments: str) -> str:
    """The error message of a command, which is one line and exits with 1."""
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert "Traceback" not in line
    # No message of a library.
    assert not any(
        word in line for word in ("HTTPConnection", "urllib3", "Max retries", "Errno", "object at")
    )
    return line


@pytest.mark.parametrize("command", [("status",), ("gate",), ("resume", "x"), ("history",), ("watch",)])
def test_a_refused_connection_is_explained(capsys, command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    line = fails(capsys, *command, "--url", url)
    assert line.startswith(
        f"wellbeing-sidecar: no answer from {url}: nothing listens there: start the sidecar"
    )


def test_an_unknown_host_is_explained(capsys) -> None:
    line = fails(capsys, "status", "--url", "http://no-such-host.invalid:9477")
    assert "no host is named no-such-host.invalid: check --url (WELLBEING_URL)" in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:9477", "(did you mean http://localhost:9477?)"),
        ("/run/x.sock", "(did you mean unix:/run/x.sock?)"),
        ("ftp://x", "must be http://, https:// or unix:/path"),
        ("http://", "is not the URL of a sidecar"),
        ("http://[::1", "is not the URL of a sidecar"),
        ("http://x:99999", "is not the URL of a sidecar"),
    ],
)
def test_an_invalid_url_is_explained(capsys, url: str, said: str) -> None:
    assert said in fails(capsys, "status", "--url", url)


def test_a_missing_response_is_explained(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sidecar.cli.sidecar_requests._SLACK_SECS", 0.2)
    with answering(None) as url:
        line = fails(capsys, "status", "--url", url)
    assert (
        line
        == f"wellbeing-sidecar: no answer from {url} within 0.2 s: nothing there answers: check --url (WELLBEING_URL)"
    )


def test_a_missing_socket_is_explained(capsys, tmp_path: Path) -> None:
    line = fails(capsys, "status", "--url", f"unix:{tmp_path}/x.sock")
    assert "there is no such socket: start the sidecar" in line
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/x.sock")
    assert "nothing listens there" in fails(capsys, "status", "--url", f"unix:{tmp_path}/x.sock")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"",
            "the server closed the connection before the end of its answer (does it want https://?)",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "the server there does not speak HTTP"),
        (response("200 OK", HTML), "answered 200, but not as a sidecar does: check --url"),
        (response("200 OK", b"[]"), "answered 200, but not as a sidecar does"),
        (response("404 Not Found", HTML), "answered 404, but not as a sidecar does: check --url"),
        (response("503 Service Unavailable", HTML), "answered 503, but not as a sidecar does"),
        (response("401 Unauthorized", HTML), "a proxy in between refused the request"),
        (
            response("302 Found", b"", "Location: https://x/"),
            "a redirect to https://x/: give the sidecar's own",
        ),
    ],
)
@pytest.mark.parametrize("command", [("status",), ("gate", "--wait", "0")], ids=["status", "gate"])
def test_a_server_that_is_not_a_sidecar_is_recognised(
    capsys, data: bytes, said: str, command: tuple[str, ...]
) -> None:
    with answering(data) as url:
        line = fails(capsys, *command, "--url", url)
    assert url in line
    assert said in line


def test_tls_errors_are_explained(capsys, tmp_path: Path) -> None:
    certify(tmp_path)
    config = {"tls": {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}}
    with Sidecar(config) as own:
        url = own.url.replace("http:", "https:")
        line = fails(capsys, "status", "--url", url)
        assert f"the certificate of {url} is not trusted" in line
        assert "name the CA that signed it by --ca-file" in line
        assert "(does it want https://?)" in fails(capsys, "status", "--url", own.url)
        assert main(["status", "--url", url, "--ca-file", str(tmp_path / "cert.pem")]) == 0
        capsys.readouterr()
        line = fails(capsys, "status", "--url", url, "--ca-file", str(tmp_path / "nowhere.pem"))
        assert "--ca-file: " in line
        assert "cannot be read: No such file or directory" in line
        line = fails(capsys, "status", "--url", url, "--ca-file", str(tmp_path / "key.pem"))
        assert "has no certificate in PEM" in line
    with answering(response("200 OK", HTML)) as url:
        line = fails(capsys, "status", "--url", url.replace("http:", "https:"))
        assert "does not speak TLS: use http://" in line


def test_missing_and_wrong_credentials_are_explained(capsys, tmp_path: Path, monkeypatch) -> None:
    credential = {"name": "v", "roles": ["viewer"], "scope": "a", "token_env": "T"}
    with Sidecar({"auth": {"credentials": [credential]}}, env={"T": "a-token-that-is-good"}) as own:
        monkeypatch.setenv("WELLBEING_URL", own.url)
        line = fails(capsys, "status", "a")
        assert "the sidecar requires credentials" in line
        assert "give a token with --token-file, WELLBEING_TOKEN_FILE or WELLBEING_TOKEN" in line
        monkeypatch.setenv("WELLBEING_TOKEN", "a-token-that-is-wrong")
        assert "the sidecar does not accept the given token" in fails(capsys, "status", "a")
        monkeypatch.setenv("WELLBEING_TOKEN", "a-token-that-is-good")
        assert main(["status", "a"]) == 0
        capsys.readouterr()
        assert main(["pause", "a", "--reason", "x"]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert "use a token whose role and scope (auth.credentials of the config) allow it" in line
        assert "use a token whose role and scope" in fails(capsys, "status")
        for token, said in (
            ("two words", "one word in ASCII"),
            ("caf\u00e9", "one word in ASCII"),
            ("a\nb", "one word"),
        ):
            monkeypatch.setenv("WELLBEING_TOKEN", token)
            assert said in fails(capsys, "status", "a")
        monkeypatch.delenv("WELLBEING_TOKEN")
        assert "cannot be read: No such file" in fails(
            capsys, "status", "a", "--token-file", str(tmp_path / "t")
        )
        assert "cannot be read: Is a directory" in fails(capsys, "status", "a", "--token-file", str(tmp_path))
        (tmp_path / "t").write_text("\n")
        assert "is empty" in fails(capsys, "status", "a", "--token-file", str(tmp_path / "t"))


def test_an_empty_variable_counts_as_none(capsys, monkeypatch) -> None:
    monkeypatch.setenv("WELLBEING_URL", "")
    monkeypatch.setenv("WELLBEING_TOKEN", "")
    assert parse(["status"]).url == DEFAULT_URL


@pytest.mark.parametrize("start", ["http://", "https://", "ftp://", ""])
def test_the_password_of_the_url_is_not_shown(capsys, start: str) -> None:
    line = fails(capsys, "status", "--url", f"{start}me:hunter2@127.0.0.1:{free_port()}")
    assert "hunter2" not in line
    assert "***@127.0.0.1" in line


@pytest.mark.parametrize("command", [("pause", "a/b", "--reason", "x"), ("state", "a/b", "cautious")])
def test_a_refused_command_does_not_say_that_it_created_a_scope(capsys, command) -> None:
    status = b'{"scope": "a/b", "follows": ""}'
    refusal = b'{"type": "/problems/forbidden", "title": "t", "detail": "not allowed", "status": 403}'
    json_type = "Content-Type: application/json"
    answers = (response("200 OK", status, json_type), response("403 Forbidden", refusal, json_type))
    with answering(*answers) as url:
        assert "created" not in fails(capsys, *command, "--url", url)


def test_check_config_prints_json(capsys, tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text("defaults: {pause_on_distressed: true}")
    assert main(("check-config", str(path), "--json")) == 0
    valid = json.loads(capsys.readouterr().out)
    assert (valid["valid"], valid["problems"], valid["can_pause"]) == (True, [], "every scope")
    path.write_text("defaults: {dry_rn: true}")
    assert main(("check-config", str(path), "--output", "jsonl")) == 1
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["problems"] == [f"{path}:1: defaults.dry_rn: no such key (did you mean dry_run?)"]
