"""The config: a YAML file, environment variables for every key, and a few command-line flags."""

from .checks_urls import is_endpoint
from .errors import ConfigError
from .files import store_problem
from .load import check_files, load_config
from .schema import describe
from .source import suggestion_for
from .summary import describe_pausing, describe_restricting
from .unused import describe_unused
from .values import Config, LimitsConfig, StoreConfig, UiLink
from .values_access import MIN_TOKEN_LENGTH, AuthConfig, CredentialConfig, Listener, TlsConfig
from .values_programs import (
    HOOK_EVENTS,
    AlertmanagerConfig,
    AlertsConfig,
    EngineConfig,
    EngineRequestConfig,
    HookConfig,
    ImportConfig,
    ImportFields,
    WatchdogConfig,
)

__all__ = [
    "HOOK_EVENTS",
    "MIN_TOKEN_LENGTH",
    "AlertmanagerConfig",
    "AlertsConfig",
    "AuthConfig",
    "Config",
    "ConfigError",
    "CredentialConfig",
    "EngineConfig",
    "EngineRequestConfig",
    "HookConfig",
    "ImportConfig",
    "ImportFields",
    "LimitsConfig",
    "Listener",
    "StoreConfig",
    "TlsConfig",
    "UiLink",
    "WatchdogConfig",
    "check_files",
    "describe",
    "describe_pausing",
    "describe_restricting",
    "describe_unused",
    "is_endpoint",
    "load_config",
    "store_problem",
    "suggestion_for",
]
