"""The files that a config names exist, are readable and have the right content."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import pytest

from harness.tls import certify, certify_client
from sidecar.config import check_files


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certify(folder)
    certify_client(folder, "client")
    return folder


@pytest.fixture
def problems(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def check(text: str, environ: dict | None = None) -> list[str]:
        Path("sidecar.yaml").write_text(text)
        return check_files(Path("sidecar.yaml"), environ or {})

    return check


CREDENTIAL = "auth:\n  credentials:\n    - {{name: a, roles: [viewer],\n       {}}}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty: it must contain the secret"),
        (b" \n", "is empty: it must contain the secret"),
        (b"short", "is shorter than 16 characters: `wellbeing-sidecar token` makes one"),
        (b"\xff" * 20, "is not text"),
        (b"a-token-that-is-good\nand another line", "has several lines or control characters"),
        (b"x" * 70_000, "is longer than 65536 bytes"),
    ],
)
def test_a_token_file_is_read(problems, content: bytes | None, problem: str) -> None:
    if content is not None:
        Path("token").write_bytes(content)
    [found] = problems(CREDENTIAL.format("token_file: token"))
    assert found.startswith("sidecar.yaml:4: auth.credentials[0].token_file: ")
    assert problem in found
    Path("token").write_text("a-token-that-is-good\n")
    assert problems(CREDENTIAL.format("token_file: token")) == []
    assert "Is a directory" in problems(CREDENTIAL.format("token_file: ."))[0]


def test_a_token_variable_is_read(problems) -> None:
    text = CREDENTIAL.format("token_env: MINE")
    assert problems(text) == ["sidecar.yaml:4: auth.credentials[0].token_env: the variable MINE is not set"]
    assert "is shorter than 16" in problems(text, {"MINE": "short"})[0]
    assert problems(text, {"MINE": "a-token-that-is-good"}) == []


@pytest.mark.parametrize(
    "key",
    [
        "alerts: {alertmanager: {password_file: $}}",
        "alerts: {alertmanager: {bearer_token_file: $}}",
        "engines: [{scope: a, kind: vllm, url: 'http://x', bearer_token_file: $}]",
        "imports: [{scope: a, url: 'http://x', bearer_token_file: $}]",
        "tls: {client_ca_file: $}",
        "tls: {cert_file: $, key_file: $}",
        "alerts: {alertmanager: {ca_file: $}}",
        "alerts: {alertmanager: {cert_file: $}}",
        "engines: [{scope: a, kind: vllm, url: 'http://x', ca_file: $}]",
        "imports: [{scope: a, url: 'http://x', ca_file: $}]",
    ],
)
def test_every_key_with_a_file_is_checked(problems, key: str) -> None:
    [found] = problems(key.replace("$", "nowhere"))
    assert found.startswith("sidecar.yaml:1: ")
    assert "_file: nowhere cannot be read: No such file or directory" in found


def test_certificates_are_parsed(problems, certificates: Path) -> None:
    cert, key, ca = (certificates / name for name in ("cert.pem", "key.pem", "ca.pem"))
    good = f"tls: {{cert_file: {cert}, key_file: {key}, client_ca_file: {ca}}}"
    assert problems(good) == []
    other = certificates / "client.key"
    [found] = problems(f"tls:\n  cert_file: {cert}\n  key_file: {other}")
    assert found.startswith(
        f"sidecar.yaml:2: tls.cert_file: {cert} and {other} are not a PEM certificate with its key"
    )
    [found] = problems(f"tls: {{cert_file: {cert}, key_file: {key}, client_ca_file: {key}}}")
    assert f"tls.client_ca_file: {key} has no PEM certificates" in found
    [found] = problems(f"alerts: {{alertmanager: {{cert_file: {cert}}}}}")
    assert "alerts.alertmanager.cert_file" in found
    both = certificates / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    assert problems(f"alerts: {{alertmanager: {{cert_file: {both}}}}}") == []


def test_the_folder_and_the_file_of_the_store_are_checked(problems) -> None:
    assert problems("store: sqlite:new.db") == []
    assert problems('store: "memory:"') == []
    [found] = problems("store:\n  url: sqlite:nowhere/a.db")
    assert found.startswith(
        "sidecar.yaml:2: store.url: nowhere/a.db cannot be opened: the folder nowhere does not exist"
    )
    assert "cannot be opened: it is a folder: name a file in it" in problems("store: sqlite:.")[0]
    Path("text").write_text("no database")
    assert "text is not an SQLite database" in problems("store: sqlite:text")[0]
    with sqlite3.connect("some.db") as db:
        db.execute("CREATE TABLE x (y)")
    db.close()
    assert problems("store: sqlite:some.db") == []
    # The default is checked as well.
    Path("wellbeing.db").mkdir()
    assert problems("")[0].startswith("the default: store.url: wellbeing.db cannot be opened: it is a folder")


def test_sockets_are_checked(problems, tmp_path: Path) -> None:
    assert problems(f"listen: unix:{tmp_path}/x.sock") == []
    assert "does not exist" in problems(f"listen:\n  - unix:{tmp_path}/nowhere/x.sock")[0]
    [found] = problems(f"listen:\n  - 127.0.0.1:0\n  - address: unix:{tmp_path}/sidecar.yaml")
    assert found.startswith("sidecar.yaml:3: listen[1].address: ")
    assert "exists and is not a socket" in found
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/left.sock")
    assert problems(f"listen: unix:{tmp_path}/left.sock") == []


def test_an_error_names_the_variable_that_gave_the_file_name(problems) -> None:
    [found] = problems("", {"WELLBEING_TLS__CLIENT_CA_FILE": "nowhere"})
    assert found == (
        "WELLBEING_TLS__CLIENT_CA_FILE: tls.client_ca_file: nowhere cannot be read: No such file or directory"
    )
