"""How each engine's own pause is spoken to; blocking, for a thread.

Sources: vLLM 0.33 (``/pause``, ``/resume``, ``/is_paused``, with ``VLLM_SERVER_DEV_MODE=1``), SGLang 0.5.23
(``/pause_generation``, ``/continue_generation``; it cannot be asked, but ``/ready`` is 503 while paused),
Ray Serve LLM 2.60 (``/pause``, ``/resume``, ``/is_paused`` by model).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from sidecar.config import EngineConfig, HookConfig

from .fetch import Access, FetchFailed, fetch

_MAX_ANSWER_BYTES = 65_536
_UNAVAILABLE = 503
_GOOD = range(200, 300)


class SwitchFailed(Exception):
    """The engine did not do, or not say, what it was asked."""


class Switch(Protocol):
    """One engine's own pause."""

    def is_paused(self) -> bool | None:
        """Whether the engine is paused; None: it cannot be known. Raises `SwitchFailed`."""

    def turn(self, *, paused: bool) -> None:
        """Pause or resume the engine. Raises `SwitchFailed`."""


def make_switch(config: EngineConfig) -> Switch:
    """The switch of the engine that ``config`` describes."""
    http = _Http(config)
    if config.kind == "vllm":
        return _Vllm(http, config)
    if config.kind == "sglang":
        return _Sglang(http, config)
    if config.kind == "ray":
        return _Ray(http, config)
    return _Hook(http, config)


class _Http:
    """Requests to one engine."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._base = config.url.rstrip("/")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Status, and the JSON that came, if it is any. Raises `SwitchFailed` when nothing came."""
        config = self._config
        try:
            return fetch(
                method,
                self._base + path,
                Access.of(config),
                timeout=config.timeout_secs,
                max_bytes=_MAX_ANSWER_BYTES,
                body=body,
            )
        except FetchFailed as error:
            raise SwitchFailed(f"{method} {path}: {error}") from None

    def do(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        """The answer's JSON. Raises `SwitchFailed` for anything but 2xx."""
        status, answer = self.ask(method, path, body)
        if status not in _GOOD:
            raise SwitchFailed(f"{method} {path} answered {status}")
        return answer


class _Vllm:
    def __init__(self, http: _Http, config: EngineConfig) -> None:
        self._http = http
        self._mode = config.mode or "keep"

    def is_paused(self) -> bool | None:
        return _flag(self._http.do("GET", "/is_paused"), "is_paused", "/is_paused")

    def turn(self, *, paused: bool) -> None:
        if paused:
            self._http.do("POST", f"/pause?mode={self._mode}&clear_cache=false")
        else:
            self._http.do("POST", "/resume")


class _Sglang:
    def __init__(self, http: _Http, config: EngineConfig) -> None:
        self._http = http
        self._mode = config.mode or "in_place"

    def is_paused(self) -> bool | None:
        status, _ = self._http.ask("GET", "/ready")
        # 503 is what a paused one answers, and an unwell one.
        return False if status in _GOOD else None if status == _UNAVAILABLE else _refused("/ready", status)

    def turn(self, *, paused: bool) -> None:
        if paused:
            self._http.do("POST", "/pause_generation", {"mode": self._mode})
        else:
            self._http.do("POST", "/continue_generation", {})


class _Ray:
    def __init__(self, http: _Http, config: EngineConfig) -> None:
        self._http = http
        self._model = config.model
        self._mode = config.mode or "keep"

    def is_paused(self) -> bool | None:
        path = f"/is_paused?model={quote(self._model, safe='')}"
        return _flag(self._http.do("GET", path), "is_paused", path)

    def turn(self, *, paused: bool) -> None:
        if paused:
            options = {"mode": self._mode, "clear_cache": False}
            self._http.do("POST", "/pause", {"model": self._model, "options": options})
        else:
            self._http.do("POST", "/resume", {"model": self._model})


class _Hook:
    """Any HTTP: two requests that turn, and one that tells, where there is one."""

    def __init__(self, http: _Http, config: EngineConfig) -> None:
        self._http = http
        self._config = config

    def is_paused(self) -> bool | None:
        path, member = self._config.asked_path, self._config.asked_member
        if not path:
            return None
        return _flag(self._http.do("GET", path), member, path)

    def turn(self, *, paused: bool) -> None:
        hook: HookConfig = self._config.pause if paused else self._config.resume
        self._http.do(hook.method, hook.path, hook.body)


def _flag(answer: object, member: str, path: str) -> bool:
    for name in member.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(answer, bool):
        raise SwitchFailed(f"GET {path} does not say {member}: true or false")
    return answer


def _refused(path: str, status: int) -> bool | None:
    raise SwitchFailed(f"GET {path} answered {status}")
