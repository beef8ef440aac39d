"""vLLM's pause: ``/pause``, ``/resume``, ``/is_paused``; for long pauses ``/sleep`` and ``/wake_up``.

Needs ``VLLM_SERVER_DEV_MODE=1``, and for sleep ``--enable-sleep-mode``. In every mode, new requests wait.
``keep`` freezes running requests, ``wait`` lets them finish first, ``abort`` ends them at once. Source: vLLM
0.33.
"""

from __future__ import annotations

from sidecar.config import EngineConfig

from .driver import SUCCESS, DriverFailed, EngineHttp, flag_of

_NOT_FOUND = 404


class VllmDriver:
    """Pauses vLLM. The mode ``keep`` queues new requests; running requests continue after the pause.

    Args:
        http: sends requests to the engine.
        config: the config of the engine.
    """

    repeats_pause = False

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._mode = config.mode or "keep"

    def is_paused(self) -> bool | None:
        """Whether the engine is paused or asleep; None: unknown. Raises `DriverFailed`."""
        return flag_of(self._http.call("GET", "/is_paused"), "is_paused", "/is_paused")

    def set_paused(self, *, paused: bool) -> None:
        """Pause the engine, or wake and resume it. Raises `DriverFailed`."""
        if paused:
            self._http.call("POST", f"/pause?mode={self._mode}&clear_cache=false")
            return
        # No route says whether a paused engine is also asleep, and requests without weights would crash it.
        status, _ = self._http.request("POST", "/wake_up")
        if status not in SUCCESS and status != _NOT_FOUND:
            raise DriverFailed(f"POST /wake_up answered {status}")
        self._http.call("POST", "/resume")

    def sleep(self) -> None:
        """Free the memory of the GPU. Requests that are kept are computed again. Raises `DriverFailed`."""
        self._http.call("POST", "/sleep?level=1&mode=keep")
