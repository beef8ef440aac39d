"""What goes wrong is told without what nobody may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.http_json import HttpAccess, HttpRequestFailed, request_json

NOBODY = "http://user:S3CRET@127.0.0.1:1/x"


def failure(url: str = NOBODY, **access) -> str:
    with pytest.raises(HttpRequestFailed) as caught:
        request_json("GET", url, HttpAccess(**access), timeout=1.0, max_bytes=100)
    return str(caught.value)


@pytest.mark.parametrize("token", ["S3CRET\nand more", "S3CRET x", "S3CRET\u00e9"])
def test_a_token_that_cannot_be_sent_is_not_told(token: str, tmp_path: Path) -> None:
    assert "S3CRET" not in failure(bearer_token=token)
    (tmp_path / "token").write_text(token)
    assert "S3CRET" not in failure(bearer_token_file=str(tmp_path / "token"))


def test_credentials_of_a_url_are_not_told() -> None:
    assert "S3CRET" not in failure()
    assert "S3CRET" not in failure("http://user:S3CRET@[bad")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "nothing-here" in failure(bearer_token_file=str(tmp_path / "nothing-here"))
