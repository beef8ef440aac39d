"""Remembers in the store which engines the sidecar has paused.

A later run resumes the engines that left the config while the sidecar was down. The store gets no secrets: an
engine that needs a bearer token can be resumed only if the token is in a file that still exists, or if the
config has another engine at the same address.

Sidecars that share a store share the records too. A record belongs to its owner: the host and the first
address of the sidecar that paused the engine.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from sidecar.config import EngineConfig, EngineRequestConfig
from sidecar.http_json import is_loopback
from sidecar.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)

_PREFIX = "engine:"
_REQUESTS = ("pause", "resume")


@dataclass(frozen=True, slots=True)
class PausedEngine:
    """An engine that a sidecar has paused.

    Attributes:
        config: its config without secrets.
        since: when it was paused, seconds since the epoch.
        host: name of the host of the sidecar that paused it.
        address: first address of that sidecar.
        has_secret: whether its config had a secret, which is left out.
    """

    config: EngineConfig
    since: float
    host: str = ""
    address: str = ""
    has_secret: bool = False

    @property
    def key(self) -> str:
        """The key of the record in the store."""
        return f"{_PREFIX}{self.host} {self.address} {_digest(engine_key(self.config))}"

    @property
    def is_local(self) -> bool:
        """Whether only programs on its host reach the engine."""
        return is_loopback(urlsplit(self.config.url).hostname or "")

    def to_text(self) -> str:
        """The record as JSON."""
        members = {"since": self.since, "host": self.host, "address": self.address}
        return json.dumps({**members, "has_secret": self.has_secret, "config": asdict(self.config)})

    @classmethod
    def from_text(cls, text: str) -> PausedEngine:
        """The record in ``text``. Raises `ValueError` if it is no record."""
        try:
            members = json.loads(text)
            # A newer version may have written members that this one does not know.
            config = _known(EngineConfig, members["config"])
            for name in _REQUESTS:
                config[name] = EngineRequestConfig(**_known(EngineRequestConfig, config.get(name, {})))
            return cls(**{**_known(cls, members), "config": EngineConfig(**config)})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"it is not the record of an engine: {error}") from error


class PausedEngines:
    """The records of the engines that sidecars on one store have paused.

    Args:
        store: keeps the records.
        now: the wall clock.
        host: name of this host.
        address: first address of this sidecar.
        is_shared: whether other sidecars use the store.

    Attributes:
        is_shared: from the arguments.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        *,
        host: str = "",
        address: str = "",
        is_shared: bool = False,
    ) -> None:
        self.is_shared = is_shared
        self._store = store
        self._now = now
        # The owner of a store that is not shared may move to another host or address.
        self._host, self._address = (host, address) if is_shared else ("", "")
        self._own_host = host
        self._records: dict[str, PausedEngine] = {}
        self._unsaved: dict[str, str | None] = {}

    async def load(self) -> None:
        """Read the records. Raises `StoreUnavailable`."""
        stored = await self._store.load_values()
        records: dict[str, PausedEngine] = {}
        for key, text in stored.items():
            if not key.startswith(_PREFIX):
                continue
            try:
                records[key] = PausedEngine.from_text(text)
            except ValueError as error:
                logger.error("engine_record_unreadable", extra={"fields": {"key": key, "error": str(error)}})
        for key, change in self._unsaved.items():
            if change is None:
                records.pop(key, None)
            elif key in self._records:
                records[key] = self._records[key]
        self._records = records

    @property
    def all(self) -> list[PausedEngine]:
        """All records that are known."""
        return list(self._records.values())

    def is_own(self, record: PausedEngine) -> bool:
        """Whether this sidecar wrote the record, in this run or an earlier one."""
        return not self.is_shared or (record.host, record.address) == (self._host, self._address)

    def reaches(self, record: PausedEngine) -> bool:
        """Whether this sidecar can reach the engine."""
        return not self.is_shared or not record.is_local or record.host == self._own_host

    def record_of(self, config: EngineConfig) -> PausedEngine:
        """The record of the engine of ``config`` that this sidecar wrote, or would write now."""
        without = replace(config, url=public_url(config), bearer_token="")
        own = PausedEngine(without, self._now(), self._host, self._address, has_secret(config))
        return self._records.get(own.key, own)

    def has(self, record: PausedEngine) -> bool:
        """Whether ``record`` is remembered."""
        return record.key in self._records

    def others(self, record: PausedEngine) -> list[PausedEngine]:
        """The records of other sidecars about the engine of ``record``."""
        key = engine_key(record.config)
        return [one for one in self.all if engine_key(one.config) == key and not self.is_own(one)]

    async def add(self, record: PausedEngine) -> None:
        """Remember ``record``. If the store fails, the engine is still paused."""
        if record.key not in self._records:
            self._records[record.key] = record
            self._unsaved[record.key] = record.to_text()
        await self._save()

    async def forget(self, record: PausedEngine) -> None:
        """Forget ``record``, because the engine runs."""
        if self._records.pop(record.key, None) is not None:
            self._unsaved[record.key] = None
        await self._save()

    async def _save(self) -> None:
        if not self._unsaved:
            return
        changes = dict(self._unsaved)
        try:
            await self._store.save_values(changes)
        except StoreUnavailable as error:
            # The next check of the engine tries again.
            logger.warning("engine_record_not_stored", extra={"fields": {"error": str(error)}})
            return
        for key, change in changes.items():
            if key in self._unsaved and self._unsaved[key] == change:
                del self._unsaved[key]


def engine_key(config: EngineConfig) -> tuple[object, ...]:
    """The identity of the engine that ``config`` describes."""
    return (config.kind, public_url(config), config.model, repr(config.pause), repr(config.resume))


def public_url(config: EngineConfig) -> str:
    """The URL of the engine without credentials."""
    parts = urlsplit(config.url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def with_access(config: EngineConfig, others: Iterable[EngineConfig]) -> EngineConfig:
    """``config`` with the credentials of another engine at the same address, if it has no own credentials."""
    if has_secret(config) or config.bearer_token_file:
        return config
    for other in others:
        if _origin(other) == _origin(config) and (has_secret(other) or other.bearer_token_file):
            return replace(
                config,
                url=urlsplit(config.url)._replace(netloc=urlsplit(other.url).netloc).geturl(),
                bearer_token=other.bearer_token,
                bearer_token_file=other.bearer_token_file,
                ca_file=other.ca_file or config.ca_file,
            )
    return config


def has_secret(config: EngineConfig) -> bool:
    """Whether ``config`` itself has a secret: a token, or credentials in the URL."""
    return bool(config.bearer_token) or "@" in urlsplit(config.url).netloc


def _origin(config: EngineConfig) -> tuple[str, str]:
    return urlsplit(public_url(config))[:2]


def _known(kind: Any, members: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    return {name: members[name] for name in kind.__slots__ if name in members}


def _digest(key: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]
