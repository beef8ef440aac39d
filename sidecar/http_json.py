"""One HTTP request for JSON, blocking, for a thread: within a time and a size, and telling no secrets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 65_536
_NOT_IN_A_HEADER = re.compile(r"[^\x21-\x7e]")


class HttpRequestFailed(Exception):
    """No answer, or none that can be used; the message has no credentials in it."""


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """Who we are, and whom to trust.

    Attributes:
        username: for basic authentication.
        password: in the config itself.
        password_file: in a file, read at every request.
        bearer_token: in the config itself.
        bearer_token_file: in a file, read at every request.
        ca_file: whom to trust; empty: whom the system trusts.
        cert_file: the client's certificate.
        key_file: its key.
        insecure_skip_verify: trust anybody.
    """

    username: str = ""
    password: str = ""
    password_file: str = ""
    bearer_token: str = ""
    bearer_token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False

    @classmethod
    def of(cls, config: object) -> HttpAccess:
        """What of these a section of the config has."""
        return cls(**{name: getattr(config, name) for name in cls.__slots__ if hasattr(config, name)})


def request_json(
    method: str,
    url: str,
    access: HttpAccess,
    *,
    timeout: float,
    max_bytes: int,
    params: Mapping[str, str | list[str]] | None = None,
    body: Mapping[str, Any] | None = None,
) -> tuple[int, Any]:
    """The status, and the JSON that came with it; None where what came is none.

    Args:
        method: of HTTP.
        url: where; may have credentials of its own.
        access: who we are.
        timeout: seconds until the answer has to be there, the whole of it.
        max_bytes: of the answer's body.
        params: of the query.
        body: sent as JSON.

    Raises:
        HttpRequestFailed: nothing came in time, or too much.
    """
    import requests  # noqa: PLC0415 - it takes memory, and only who asks others needs it

    deadline = time.monotonic() + timeout
    try:
        with requests.Session() as session:
            _authenticate(session, url, access)
            with session.request(
                method,
                url,
                params=params,
                json=body,
                timeout=timeout,
                stream=True,
                allow_redirects=False,
                # By argument, for the session's own gives way to $REQUESTS_CA_BUNDLE.
                verify=False if access.insecure_skip_verify else (access.ca_file or None),
                cert=((access.cert_file, access.key_file) if access.key_file else access.cert_file) or None,
            ) as response:
                return response.status_code, _json(_read(response, deadline, timeout, max_bytes))
    except requests.exceptions.InvalidHeader:
        raise HttpRequestFailed("the credentials cannot stand in a header") from None
    except (OSError, ValueError) as error:
        # requests' errors are OSErrors. What they say of a URL may hold its credentials.
        raise HttpRequestFailed(_without_credentials(str(error))) from None


def _authenticate(session: Any, url: str, access: HttpAccess) -> None:  # noqa: ANN401 - a requests.Session
    if access.username:
        session.auth = (access.username, _secret("password", access.password, access.password_file))
    elif access.bearer_token or access.bearer_token_file:
        token = _secret("token", access.bearer_token, access.bearer_token_file)
        if _NOT_IN_A_HEADER.search(token):
            raise HttpRequestFailed(
                "the token has characters that cannot stand in a header: a line break, a space?"
            )
        session.headers["Authorization"] = f"Bearer {token}"
        # Nobody's ~/.netrc is asked; proxies of the environment are.
        session.auth = _as_it_stands
    elif "@" not in url:
        session.auth = _as_it_stands


def _as_it_stands(request: Any) -> Any:  # noqa: ANN401 - a requests.PreparedRequest
    return request


def _secret(what: str, text: str, path: str) -> str:
    if not path:
        return text.strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise HttpRequestFailed(f"the file with the {what}, {path!r}, cannot be read: {why}") from None


def _read(response: Any, deadline: float, timeout: float, max_bytes: int) -> bytes:  # noqa: ANN401
    data = bytearray()
    while True:
        # What is there, not a whole chunk: an answer that drips has to be seen to drip.
        chunk = response.raw.read1(_CHUNK_BYTES, decode_content=True)
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > max_bytes:
            raise HttpRequestFailed(f"the answer has more than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise HttpRequestFailed(f"the answer was not there within {timeout:g} s")


def _json(data: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _without_credentials(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
