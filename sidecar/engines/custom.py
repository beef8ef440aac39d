"""The driver of an engine whose pause, resume and status requests are in the config."""

from __future__ import annotations

from sidecar.config import EngineConfig, EngineRequestConfig

from .driver import CannotSleep, EngineHttp, flag_of


class CustomDriver(CannotSleep):
    """Pauses any engine over HTTP.

    Args:
        http: sends requests to the engine.
        config: the config of the engine.
    """

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._config = config

    def is_paused(self) -> bool | None:
        """Whether the engine is paused; None: unknown. Raises `DriverFailed`."""
        path, member = self._config.asked_path, self._config.asked_member
        if not path:
            return None
        return flag_of(self._http.call("GET", path), member, path)

    def set_paused(self, *, paused: bool) -> None:
        """Pause or resume the engine. Raises `DriverFailed`."""
        hook: EngineRequestConfig = self._config.pause if paused else self._config.resume
        self._http.call(hook.method, hook.path, hook.body)
