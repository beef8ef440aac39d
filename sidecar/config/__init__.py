"""The config: one YAML file, every key also an environment variable, a few flags."""

from .errors import ConfigError
from .load import load_config
from .schema import describe
from .values import (
    AlertmanagerConfig,
    AlertsConfig,
    Config,
    EngineConfig,
    HookConfig,
    ImportConfig,
    ImportFields,
    LimitsConfig,
    StoreConfig,
    WatchdogConfig,
)

__all__ = [
    "AlertmanagerConfig",
    "AlertsConfig",
    "Config",
    "ConfigError",
    "EngineConfig",
    "HookConfig",
    "ImportConfig",
    "ImportFields",
    "LimitsConfig",
    "StoreConfig",
    "WatchdogConfig",
    "describe",
    "load_config",
]
