"""The store on Redis, which the sidecars of a fleet share. redis-py is imported only when it is opened."""

from .address import RedisAddress, redacted
from .settings import RedisSettings

__all__ = ["RedisAddress", "RedisSettings", "redacted"]
