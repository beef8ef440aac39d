"""How Redis is reached: the settings that the config and the store share."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAccess:
    """How Redis is reached, and what the fleet requires of it.

    Attributes:
        username: the ACL user; empty: the user in the URL, else the default user.
        password: its password; empty: the password in the URL, if any.
        password_file: file with the password, read at each connection.
        ca_file: CA bundle; empty: the system's trust store.
        cert_file: client certificate.
        key_file: its private key.
        prefix: begins the name of every key; sidecars with the same prefix are one fleet.
        timeout_secs: timeout of one call.
        wait_replicas: replicas that must have a command before it is acknowledged.
        last_known_file: file with the last known state, for a start without Redis; empty: none is kept.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "wellbeing"
    timeout_secs: float = 2.0
    wait_replicas: int = 0
    last_known_file: str = "wellbeing-last-known.jsonl"
