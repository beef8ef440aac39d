"""Files with secrets that cannot be used: nothing is sent, and the error does not reveal them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.clock import Clock
from sidecar.config import HookConfig
from sidecar.hooks.endpoint import DeliveryFailed, Endpoint, HookRequest


def failure_of(**config: str) -> str:
    # Port 1 refuses connections: an attempt to send would be another error.
    hook = HookConfig("h", url=config.pop("url", "http://127.0.0.1:1/"), **config)
    with pytest.raises(DeliveryFailed) as caught:
        Endpoint(hook, Clock()).send(HookRequest(b"{}"))
    return str(caught.value)


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
@pytest.mark.parametrize(
    "token",
    ["S3CRET\r\nX-Evil: 1\n", "S3CRET\nx", "S3CRET\0", "S3CRET\x7f", "S3CRET\u20ac", "\ufeffS3CRET\n"],
)
def test_a_token_that_no_header_can_have_is_not_sent(tmp_path: Path, token: str, header: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(token.encode())
    message = failure_of(token_file=str(file), token_header=header)
    assert "characters that are not allowed in a header" in message
    assert "S3CRET" not in message
    assert "\u20ac" not in message


@pytest.mark.parametrize("content", ["", " \n"])
@pytest.mark.parametrize("key", ["token_file", "url_file", "password_file"])
def test_an_empty_file_is_named_and_nothing_is_sent(tmp_path: Path, key: str, content: str) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    more = {"token_file": {}, "url_file": {"url": ""}, "password_file": {"username": "me"}}[key]
    assert f"{str(file)!r}, is empty" in failure_of(**{key: str(file)}, **more)
