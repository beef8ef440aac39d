from __future__ import annotations

import socket
import ssl

import pytest

from sidecar.unreachable import ServerOptions, why_unreachable, without_credentials

OPTIONS = ServerOptions(url="--url", ca_file="--ca-file", start="start it")
URL = "http://host:1"


class NameResolutionError(Exception):
    pass


class BadStatusLine(Exception):
    pass


def caused_by(cause: BaseException) -> Exception:
    error = Exception("the library's own words")
    error.__cause__ = cause
    return error


def as_reason(cause: BaseException) -> Exception:
    error = Exception("the library's own words")
    error.reason = cause
    return error


@pytest.mark.parametrize("wrapped", [caused_by, as_reason, Exception])
@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (socket.gaierror(-2, "x"), ": no host is named host: check --url"),
        (NameResolutionError(), ": no host is named host: check --url"),
        (ConnectionRefusedError(111, "x"), ": nothing listens there: start it, or check --url"),
        (FileNotFoundError(2, "x"), ": there is no such socket: start it, or check --url"),
        (OSError(113, "x"), ": there is no route to host: check --url"),
        (TimeoutError(), " within 2 s: nothing there answers: check --url"),
        (BadStatusLine(), ": the server there does not speak HTTP: check --url"),
        (
            ConnectionResetError(104, "x"),
            ": the server closed the connection before the end of its answer (does it want https://?)",
        ),
    ],
)
def test_the_cause_is_found_at_any_depth_of_an_exception(wrapped, cause: BaseException, why: str) -> None:
    assert why_unreachable(URL, wrapped(cause), 2, OPTIONS) == f"no answer from {URL}{why}"


def test_the_message_for_an_unknown_program_has_no_hint_how_to_start_it() -> None:
    said = why_unreachable(
        URL, ConnectionRefusedError(111, "x"), 2, ServerOptions("--prometheus", "--ca-file")
    )
    assert said == f"no answer from {URL}: nothing listens there: check --prometheus"


def test_an_unknown_cause_is_described_by_its_shortest_text() -> None:
    assert why_unreachable(URL, caused_by(Exception("odd")), 2, OPTIONS) == f"no answer from {URL}: odd"
    assert why_unreachable(URL, Exception(), 2, OPTIONS) == f"no answer from {URL}: unknown"


def test_a_tls_error_is_reported_before_any_other_cause() -> None:
    error = ssl.SSLError(1, "x")
    error.reason = "WRONG_VERSION_NUMBER"
    said = why_unreachable("https://host", caused_by(error), 2, OPTIONS)
    assert said == "https://host does not speak TLS: use http:// in --url"


def test_a_cycle_of_causes_is_handled() -> None:
    one, two = Exception("one"), Exception("two more")
    one.__cause__, two.__cause__ = two, one
    assert why_unreachable(URL, one, 2, OPTIONS) == f"no answer from {URL}: one"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://user:secret@host:1/p/?q=1", "http://host:1/p"),
        ("http://host", "http://host"),
        ("http://user:secret@[::1", "http://[::1"),
    ],
)
def test_the_reported_address_has_no_credentials(url: str, name: str) -> None:
    assert without_credentials(url) == name
