"""The driver of each kind of engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidecar.config import EngineConfig

from .custom import CustomDriver
from .driver import EngineDriver, EngineHttp
from .dynamo import DynamoDriver
from .litellm import LiteLlmDriver
from .ray import RayDriver
from .sglang import SglangDriver
from .vllm import VllmDriver

_DRIVERS: Mapping[str, Callable[[EngineHttp, EngineConfig], EngineDriver]] = {
    "vllm": VllmDriver,
    "sglang": SglangDriver,
    "ray": RayDriver,
    "litellm": LiteLlmDriver,
    "dynamo": DynamoDriver,
}


def make_driver(config: EngineConfig) -> EngineDriver:
    """The driver of the engine that ``config`` describes."""
    return _DRIVERS.get(config.kind, CustomDriver)(EngineHttp(config), config)
