"""The interface of engine drivers, and their HTTP requests. All calls block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sidecar.config import EngineConfig
from sidecar.http_json import HttpAccess, HttpRequestFailed, request_json

_MAX_ANSWER_BYTES = 65_536
SUCCESS = range(200, 300)
_REFUSALS = (401, 403)


class DriverFailed(Exception):
    """The engine refused a command, or its answer is not valid."""


class AccessRefused(DriverFailed):
    """The engine refuses the credentials, or requires credentials. A retry does not help."""


class EngineDriver(Protocol):
    """Pauses and resumes one engine.

    Attributes:
        repeats_pause: whether the pause is sent again at each check, because the engine never says whether it
            is paused.
    """

    repeats_pause: bool

    def is_paused(self) -> bool | None:
        """Whether the engine is paused; None: unknown. Raises `DriverFailed`."""

    def set_paused(self, *, paused: bool) -> None:
        """Pause or resume the engine. Raises `DriverFailed`."""

    def sleep(self) -> None:
        """Free the memory of a paused engine. Raises `DriverFailed`."""


class CannotSleep:
    """Base of drivers whose engine cannot sleep without losing requests."""

    repeats_pause = False

    def sleep(self) -> None:
        """Raises `DriverFailed`."""
        raise DriverFailed("engines of this kind cannot sleep")


class EngineHttp:
    """Sends requests to one engine."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._base = config.url.rstrip("/")

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        max_bytes: int = _MAX_ANSWER_BYTES,
    ) -> tuple[int, Any]:
        """The status, and the JSON of the answer or None.

        Raises:
            AccessRefused: the status is 401 or 403.
            DriverFailed: there is no answer.
        """
        config = self._config
        try:
            status, answer = request_json(
                method,
                self._base + path,
                HttpAccess.of(config),
                timeout=config.timeout_secs,
                max_bytes=max_bytes,
                body=body,
            )
        except HttpRequestFailed as error:
            raise DriverFailed(f"{method} {path}: {error}") from None
        if status in _REFUSALS:
            raise AccessRefused(f"{method} {path} answered {status}")
        return status, answer

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        max_bytes: int = _MAX_ANSWER_BYTES,
    ) -> Any:  # noqa: ANN401
        """The JSON of a 2xx answer. Raises `DriverFailed` for any other status."""
        status, answer = self.request(method, path, body, max_bytes=max_bytes)
        if status not in SUCCESS:
            raise DriverFailed(f"{method} {path} answered {status}")
        return answer


def flag_of(answer: object, member: str, path: str) -> bool:
    """The boolean at the dotted path ``member`` of ``answer``. Raises `DriverFailed` if there is none."""
    for name in member.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(answer, bool):
        raise DriverFailed(f"GET {path}: the answer has no boolean {member}")
    return answer
