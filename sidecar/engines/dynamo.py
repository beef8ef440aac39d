"""NVIDIA Dynamo's pause of one worker, on the worker's system status server (``DYN_SYSTEM_PORT``).

``/engine/pause_generation`` and ``/engine/resume_generation`` with vLLM, ``/engine/continue_generation`` with
SGLang. No route says whether a worker is paused, so the pause is sent again at each check: a worker that was
restarted is paused again. Source: ai-dynamo 1.6.
"""

from __future__ import annotations

from typing import Any

from sidecar.config import EngineConfig

from .driver import SUCCESS, CannotSleep, DriverFailed, EngineHttp

_NOT_READY = 503
"""The answer of `/live` if no endpoint's health is configured (``DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS``)."""
_SGLANG_MODES = ("in_place", "retract")


class DynamoDriver(CannotSleep):
    """Pauses one worker.

    The mode implies the backend: vLLM for keep, wait and abort; SGLang for in_place and retract.

    Args:
        http: sends requests to the worker.
        config: the config of the engine.
    """

    repeats_pause = True

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._mode = config.mode or "keep"
        self._is_sglang = self._mode in _SGLANG_MODES

    def is_paused(self) -> bool | None:
        """None: the worker does not say. Raises `DriverFailed` if it does not answer."""
        status, _ = self._http.request("GET", "/live")
        if status not in SUCCESS and status != _NOT_READY:
            raise DriverFailed(f"GET /live answered {status}")
        return None

    def set_paused(self, *, paused: bool) -> None:
        """Pause or resume the worker. Raises `DriverFailed`."""
        if paused:
            options = {} if self._is_sglang else {"clear_cache": False}
            self._order("/engine/pause_generation", {"mode": self._mode, **options})
        else:
            self._order("/engine/" + ("continue" if self._is_sglang else "resume") + "_generation", {})

    def _order(self, path: str, body: dict[str, Any]) -> None:
        answer = self._http.call("POST", path, body)
        # Dynamo answers 200 even if the handler failed.
        if isinstance(answer, dict) and answer.get("status") == "error":
            raise DriverFailed(f"POST {path}: {str(answer.get('message', ''))[:200]}")
