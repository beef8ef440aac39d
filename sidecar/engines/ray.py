"""Ray Serve LLM's pause, by model: ``/pause``, ``/resume``, ``/is_paused``.

Source: Ray Serve LLM 2.60 with its ingress for development (``DevIngress``). Its ``/sleep`` aborts every
request, so it is not used.
"""

from __future__ import annotations

from urllib.parse import quote

from sidecar.config import EngineConfig

from .driver import CannotSleep, EngineHttp, flag_of


class RayDriver(CannotSleep):
    """Pauses one model of Ray Serve LLM.

    Args:
        http: sends requests to the engine.
        config: the config of the engine.
    """

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._model = config.model
        self._mode = config.mode or "keep"

    def is_paused(self) -> bool | None:
        """Whether the engine is paused; None: unknown. Raises `DriverFailed`."""
        path = f"/is_paused?model={quote(self._model, safe='')}"
        return flag_of(self._http.call("GET", path), "is_paused", path)

    def set_paused(self, *, paused: bool) -> None:
        """Pause or resume the engine. Raises `DriverFailed`."""
        if paused:
            options = {"mode": self._mode, "clear_cache": False}
            self._http.call("POST", "/pause", {"model": self._model, "options": options})
        else:
            self._http.call("POST", "/resume", {"model": self._model})
