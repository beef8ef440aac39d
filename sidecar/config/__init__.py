"""The config: one YAML file, every key also an environment variable, a few flags."""

from .errors import ConfigError
from .load import load_config
from .schema import describe
from .values import AlertsConfig, Config, LimitsConfig, StoreConfig

__all__ = ["AlertsConfig", "Config", "ConfigError", "LimitsConfig", "StoreConfig", "describe", "load_config"]
