"""HTTP to one sidecar, over TCP or a Unix socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from .errors import Unreachable
from .settings import Settings

_CONNECT_SECS = 5.0
_MAX_BYTES = 1_048_576


class Answer:
    """A status, headers, and the JSON that came with them; None where what came is none."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: Any) -> None:  # noqa: ANN401
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def detail(self) -> str:
        """What a problem says was wrong; empty where it says nothing."""
        return str(self.body.get("detail", "")) if isinstance(self.body, dict) else ""


class Connection:
    """Requests to the routes of one scope; for one thread at a time.

    Args:
        settings: where the sidecar is, and who we are.
        name: of the program, for its log.
        max_bytes: what an answer may have.
    """

    def __init__(
        self, settings: Settings, name: str = "wellbeing-client", max_bytes: int = _MAX_BYTES
    ) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._session = requests.Session()
        self._session.headers["User-Agent"] = name
        self._base = settings.url.rstrip("/")
        if self._base.startswith("unix:"):
            # The path is the adapter's; HTTP has to have some host.
            self._session.mount("http://wellbeing-sidecar", _UnixAdapter(self._base.removeprefix("unix:")))
            self._base = "http://wellbeing-sidecar"
            self._session.trust_env = False

    def ask(
        self,
        method: str,
        route: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The answer of ``/v1/ROUTE/SCOPE``, whatever its status.

        Raises:
            Unreachable: there was none within ``timeout`` seconds.
        """
        scope = self._settings.scope
        url = f"{self._base}/v1/{route}" + (f"/{quote(scope)}" if scope else "")
        deadline = time.monotonic() + timeout
        try:
            with self._session.request(
                method,
                url,
                params=params,
                json=body,
                headers={**(headers or {}), **self._credentials()},
                timeout=(min(_CONNECT_SECS, timeout), timeout),
                stream=True,
                allow_redirects=False,
                # By argument, for the session's own gives way to $REQUESTS_CA_BUNDLE.
                verify=self._settings.ca_file,
                cert=self._settings.cert_file,
            ) as response:
                data = bytearray()
                # What is there, not a whole chunk: an answer that drips has to be seen to drip.
                while chunk := response.raw.read1(65_536, decode_content=True):
                    data += chunk
                    if len(data) > self._max_bytes or time.monotonic() > deadline:
                        raise Unreachable(f"{url}: the answer does not end")
                return Answer(response.status_code, response.headers, _json(data))
        except (OSError, ValueError) as error:
            # requests' errors are OSErrors or ValueErrors.
            raise Unreachable(f"{url}: {error}") from error

    def close(self) -> None:
        """Let go of the socket."""
        self._session.close()

    def _credentials(self) -> dict[str, str]:
        token = self._settings.token
        if self._settings.token_file:
            token = Path(self._settings.token_file).read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"} if token else {}


def _json(data: bytes | bytearray) -> Any:  # noqa: ANN401
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        # A proxy's own page, for instance: its status says enough.
        return None


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: Any) -> None:  # noqa: ANN401 - urllib3's
        super().__init__("wellbeing-sidecar", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        timeout = self.timeout
        sock.settimeout(timeout if isinstance(timeout, int | float) else _CONNECT_SECS)
        try:
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class _UnixPool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("wellbeing-sidecar", maxsize=1)
        self._path = path

    def _new_conn(self) -> Any:  # noqa: ANN401 - urllib3's
        self.num_connections += 1
        return _UnixConnection(self._path, self.timeout.connect_timeout)


class _UnixAdapter(HTTPAdapter):
    """Carries what a session sends over a Unix socket."""

    def __init__(self, path: str) -> None:
        self._pool = _UnixPool(path)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - requests'
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()
