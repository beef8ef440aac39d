"""Settings of the store on Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sidecar.redis_access import RedisAccess


@dataclass(frozen=True, slots=True)
class RedisSettings(RedisAccess):
    """The connection to Redis, and the limits of the stored history.

    Attributes:
        url: the address; see `RedisAddress`.
        last_known_file: as in `RedisAccess`; the default keeps none.
        history_max_entries: maximum number of history entries.
        history_max_age_secs: maximum age of history entries in seconds.
    """

    url: str
    last_known_file: str = field(default="", kw_only=True)
    history_max_entries: int = 100_000
    history_max_age_secs: float = 30 * 86_400.0

    def read_password(self) -> str:
        """The password of the file or of the setting; empty: neither is set. Raises `OSError`."""
        if self.password_file:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        return self.password
