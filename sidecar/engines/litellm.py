"""LiteLLM's block of a model: ``/model/block``, ``/model/unblock``, ``/model/info``.

Needs an administrator's key, and models that LiteLLM keeps in its database (``store_model_in_db``). LiteLLM
refuses requests for a blocked model; they do not wait. Source: LiteLLM 1.110.
"""

from __future__ import annotations

from typing import Any

from sidecar.config import EngineConfig

from .driver import CannotSleep, DriverFailed, EngineHttp

_LIST = "/model/info"
_MAX_LIST_BYTES = 16_777_216


class LiteLlmDriver(CannotSleep):
    """Blocks every deployment of one model group, or one deployment.

    Args:
        http: sends requests to the LiteLLM proxy.
        config: the config of the engine; ``model`` is the name of a group or the id of a deployment.
    """

    def __init__(self, http: EngineHttp, config: EngineConfig) -> None:
        self._http = http
        self._model = config.model

    def is_paused(self) -> bool | None:
        """Whether all deployments are blocked. Raises `DriverFailed`."""
        return all(self._deployments().values())

    def set_paused(self, *, paused: bool) -> None:
        """Block or unblock the deployments. Raises `DriverFailed`."""
        path = "/model/block" if paused else "/model/unblock"
        for deployment, blocked in self._deployments().items():
            if blocked != paused:
                self._http.call("POST", path, {"model_id": deployment})

    def _deployments(self) -> dict[str, bool]:
        """Whether each deployment is blocked, by id."""
        answer = self._http.call("GET", _LIST, max_bytes=_MAX_LIST_BYTES)
        listed = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise DriverFailed(f"GET {_LIST}: the answer has no list data")
        found: dict[str, bool] = {}
        for one in listed:
            info: Any = one.get("model_info") if isinstance(one, dict) else None
            if not isinstance(info, dict) or not isinstance(info.get("id"), str):
                continue
            if self._model not in (one.get("model_name"), info["id"]):
                continue
            if not isinstance(info.get("blocked"), bool):
                raise DriverFailed(
                    f"GET {_LIST}: {self._model} is not in LiteLLM's database, so it cannot be blocked"
                )
            found[info["id"]] = info["blocked"]
        if not found:
            raise DriverFailed(f"GET {_LIST}: there is no model {self._model}")
        return found
