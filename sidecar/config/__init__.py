"""The config: one YAML file, every key also an environment variable, a few flags."""

from .errors import ConfigError
from .load import load_config
from .schema import describe
from .values import (
    AlertmanagerConfig,
    AlertsConfig,
    AuthConfig,
    Config,
    CredentialConfig,
    EngineConfig,
    HookConfig,
    ImportConfig,
    ImportFields,
    LimitsConfig,
    Listener,
    StoreConfig,
    TlsConfig,
    WatchdogConfig,
)

__all__ = [
    "AlertmanagerConfig",
    "AlertsConfig",
    "AuthConfig",
    "Config",
    "ConfigError",
    "CredentialConfig",
    "EngineConfig",
    "HookConfig",
    "ImportConfig",
    "ImportFields",
    "LimitsConfig",
    "Listener",
    "StoreConfig",
    "TlsConfig",
    "WatchdogConfig",
    "describe",
    "load_config",
]
