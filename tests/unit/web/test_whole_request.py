"""Which bytes are served without ASGI: only bytes that every parser reads in the same way."""

from __future__ import annotations

import gc

import pytest

from sidecar.web.api.whole_request import read_whole
from sidecar.web.gate.fast_path import _Head

BODY = b'{"reason": "x"}'
PAUSE = b"POST /v1/pause/a?x=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 15\r\n"


def read(data: bytes, start: int = 0, max_header_bytes: int = 1000, max_body_bytes: int = 1000) -> object:
    return read_whole(data, start, max_header_bytes, max_body_bytes)


def test_a_whole_command_is_read_and_the_next_request_stays() -> None:
    data = b"before" + PAUSE + b"\r\n" + BODY + b"GET / HTTP/1.1\r\n"
    request = read_whole(data, len(b"before"), 1000, 1000)
    assert request is not None
    assert (request.method, request.path, request.query, request.body) == (
        "POST",
        "/v1/pause/a",
        b"x=1",
        BODY,
    )
    assert request.headers == [(b"host", b"test"), (b"content-length", b"15")]
    assert data[request.end :] == b"GET / HTTP/1.1\r\n"


def test_the_end_of_a_command_is_known_before_its_body_has_arrived() -> None:
    head = PAUSE + b"\r\n"
    for arrived in range(len(BODY)):
        request = read_whole(head + BODY[:arrived], 0, 1000, 1000)
        assert request is not None
        assert request.end == len(head + BODY)


def test_a_client_that_asks_for_a_share_is_read() -> None:
    request = read_whole(
        b"GET /v1/admit/a?client=c&waiting=5%3A1 HTTP/1.1\r\nHost: test\r\n\r\n", 0, 1000, 1000
    )
    assert request is not None
    assert (request.path, request.query, request.body) == ("/v1/admit/a", b"client=c&waiting=5%3A1", b"")


@pytest.mark.parametrize(
    "data",
    [
        PAUSE,
        PAUSE + b"Content-Length: 15\r\n\r\n" + BODY,
        PAUSE + b"Content-Length: 16\r\n\r\n" + BODY,
        PAUSE + b"Transfer-Encoding: chunked\r\n\r\n" + BODY,
        PAUSE + b"Expect: 100-continue\r\n\r\n" + BODY,
        PAUSE + b"Upgrade: h2c\r\n\r\n" + BODY,
        PAUSE + b"Connection: close\r\n\r\n" + BODY,
        PAUSE + b"no header\r\n\r\n" + BODY,
        PAUSE.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\n\r\n" + BODY,
        PAUSE.replace(b"1.1", b"1.2") + b"\r\n" + BODY,
        PAUSE.replace(b"15", b"+15") + b"\r\n" + BODY,
        PAUSE.replace(b"15", b"0000015") + b"\r\n" + BODY,
        PAUSE.replace(b"Host: test\r\n", b"") + b"\r\n" + BODY,
        PAUSE + b"Host: test\r\n\r\n" + BODY,
        PAUSE.replace(b"x=1", b"x=1#2") + b"\r\n" + BODY,
        PAUSE.replace(b"/a?", b"/%61?") + b"\r\n" + BODY,
        PAUSE.replace(b"/a?", b"/\xc3\xa9?") + b"\r\n" + BODY,
        PAUSE.replace(b"POST /", b"POST http://test/") + b"\r\n" + BODY,
        PAUSE.replace(b"POST", b"PATCH") + b"\r\n" + BODY,
        PAUSE.replace(b"Content-Length: 15\r\n", b"\r\n"),
        PAUSE.replace(b"\r\n", b"\n") + b"\n" + BODY,
        b"GET /v1/admit/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_head_that_is_incomplete_or_not_plain_is_left_to_the_other_parser(data: bytes) -> None:
    assert read(data) is None


def test_limits_are_left_to_the_other_parser() -> None:
    whole = PAUSE + b"\r\n" + BODY
    assert read(whole, max_header_bytes=50) is None
    assert read(whole, max_body_bytes=14) is None
    large = b"POST /v1/alerts HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\n\r\n" + b" " * 65_537
    assert read(large, max_body_bytes=10**6) is None


def test_a_request_leaves_no_work_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for data in (PAUSE + b"\r\n" + BODY, PAUSE + b"no header\r\n\r\n" + BODY):
            read(data)
        assert _Head().parse(b"GET /v1/gate/a HTTP/1.1\r\nHost: test\r\n\r\n")
        assert gc.collect() == 0
    finally:
        gc.enable()
