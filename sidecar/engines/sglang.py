"""SGLang's pause: ``/pause_generation``, ``/continue_generation``.

SGLang has no route that says whether it is paused. ``/ready`` is 503 while it is paused. Source: SGLang
0.5.23.
"""

from __future__ import annotations

from sidecar.config import EngineConfig

from .driver import SUCCESS, CannotSleep, DriverFailed, EngineHttp

_UNAVAILABLE = 503


class SglangDriver(CannotSleep):
    """Pauses SGLang. The mode ``in_place`` keeps requests where they are.

    Args:
        http: sends requests to the engine.
        config: the config of the engine.
    """

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._mode = config.mode or "in_place"

    def is_paused(self) -> bool | None:
        """Whether the engine is paused; None: unknown. Raises `DriverFailed`."""
        status, _ = self._http.request("GET", "/ready")
        # A paused engine answers 503, and so does an unhealthy engine.
        return False if status in SUCCESS else None if status == _UNAVAILABLE else _refused("/ready", status)

    def set_paused(self, *, paused: bool) -> None:
        """Pause or resume the engine. Raises `DriverFailed`."""
        if paused:
            self._http.call("POST", "/pause_generation", {"mode": self._mode})
        else:
            self._http.call("POST", "/continue_generation", {})


def _refused(path: str, status: int) -> bool | None:
    raise DriverFailed(f"GET {path} answered {status}")
