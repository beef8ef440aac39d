"""The config: one YAML file, every key also an environment variable, a few flags."""

from .durations import parse_duration
from .errors import ConfigError
from .files import store_problem
from .load import check_files, load_config
from .schema import describe
from .source import hint_at
from .summary import what_pauses
from .values import (
    LEAST_TOKEN_LENGTH,
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
    "LEAST_TOKEN_LENGTH",
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
    "check_files",
    "describe",
    "hint_at",
    "load_config",
    "parse_duration",
    "store_problem",
    "what_pauses",
]
