"""vLLM's pause: ``/pause``, ``/resume``, ``/is_paused``.

Source: vLLM 0.33, started with ``VLLM_SERVER_DEV_MODE=1``.
"""

from __future__ import annotations

from sidecar.config import EngineConfig

from .driver import EngineHttp, flag_of


class VllmDriver:
    """Pauses vLLM. The mode ``keep`` queues new requests; running requests continue.

    Args:
        http: sends requests to the engine.
        config: the config of the engine.
    """

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._mode = config.mode or "keep"

    def is_paused(self) -> bool | None:
        """Whether the engine is paused; None: unknown. Raises `DriverFailed`."""
        return flag_of(self._http.call("GET", "/is_paused"), "is_paused", "/is_paused")

    def set_paused(self, *, paused: bool) -> None:
        """Pause or resume the engine. Raises `DriverFailed`."""
        if paused:
            self._http.call("POST", f"/pause?mode={self._mode}&clear_cache=false")
        else:
            self._http.call("POST", "/resume")
