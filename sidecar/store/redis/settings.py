"""Settings of the store on Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """The connection to Redis, and the limits of the stored history.

    Attributes:
        url: the address; see `RedisAddress`.
        username: the ACL user; empty: the one in the URL, else the default user.
        password: its password; empty: the one in the URL, if any.
        password_file: file with the password, read at each connection.
        ca_file: CA bundle; empty: the system's trust store.
        cert_file: client certificate.
        key_file: its private key.
        prefix: begins the name of every key. All keys have the same hash tag.
        timeout_secs: timeout of one call.
        wait_replicas: replicas that must have a commit before it is acknowledged.
        last_known_file: file with the last known state; empty: none is kept.
        history_max_entries: maximum number of history entries.
        history_max_age_secs: maximum age of history entries in seconds.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "wellbeing"
    timeout_secs: float = 2.0
    wait_replicas: int = 0
    last_known_file: str = ""
    history_max_entries: int = 100_000
    history_max_age_secs: float = 30 * 86_400.0

    def read_password(self) -> str:
        """The password of the file or of the setting; empty: neither is set. Raises `OSError`."""
        if self.password_file:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        return self.password
