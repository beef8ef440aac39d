"""The store on Redis, which the sidecars of a fleet share.

A commit is one script call: it checks the versions that the decision read, writes, appends to the log and
publishes. Other sidecars follow the published messages. A message may be lost, so the log is authoritative:
after a gap in the commit numbers, after a new connection, or when the heartbeat shows newer commits, a
sidecar reads the log.

How lost commits are detected. Every commit has a number and a random token. A store that lost commits has a
lower number than a sidecar has applied, or another token at that number, or another epoch. Each commit and
each heartbeat checks this, so no commit is based on commits that the store has lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from sidecar.store.base import (
    Batch,
    CommitResult,
    Committed,
    Conflict,
    FleetStatus,
    LoggedCommit,
    Outdated,
    Position,
    StoredState,
    StoreError,
    StoreUnavailable,
    WatchdogNotice,
    WatchdogReceipt,
)
from sidecar.store.entries import HistoryEntry, HistoryQuery
from sidecar.store.json_values import encode
from sidecar.store.last_known import load_last_known, save_last_known
from sidecar.store.leases import Lease, Need

from . import scripts
from .check import check_server
from .connection import RedisConnection, execute
from .history import RedisHistory
from .keys import RedisKeys
from .log import RedisLog
from .rates import GAP_SECS, RedisRates
from .rates import LEASE_SECS as RATE_LEASE_SECS
from .records import SCHEMA, CommitTexts, RecordTexts, entry_texts, to_text
from .settings import RedisSettings

logger = logging.getLogger(__name__)

LEASE_SECS = 8.0
"""The leader's lease. Another sidecar takes it over within this time and one heartbeat."""

BEAT_SECS = 2.5
_PAGE = 500
_TOKENS = 5_000
_TRIM_SECS = 60.0
_MAX_LOG = 20_000
"""Commits that the log keeps. A sidecar that missed more loads the state again."""

_MOST_LOGGED = 20
"""Fields that are not valid. Further ones are not logged."""

_LARGE_BATCH = 50
"""A batch with more records and tombstones is converted in a thread."""

_VERSION_BITS = 12
_GOOD_ROUND_TRIP_SECS = 0.25


class RedisStore:
    """A `SharedStore` on Redis.

    Args:
        settings: the settings.

    Attributes:
        status: the known state of the fleet.
        on_status: called when the status changed.
        on_commit: see `SharedStore`.
        on_time: called with the time of Redis, seconds since the epoch.

    Raises:
        ValueError: the address is not valid.
    """

    beat_secs = BEAT_SECS

    def __init__(self, settings: RedisSettings) -> None:
        self.status = FleetStatus(sidecar_id=f"{os.uname().nodename}-{uuid4().hex[:8]}")
        self.on_status: Callable[[], None] = lambda: None
        self.on_commit: Callable[[LoggedCommit], bool] = lambda _: False
        self.on_time: Callable[[float], None] = lambda _: None
        self._settings = settings
        self._connection = RedisConnection(settings)
        self._keys = RedisKeys(settings.prefix)
        self._texts = RecordTexts()
        self._history = RedisHistory(self._connection, self._keys, settings)
        self._number = random.getrandbits(
            _VERSION_BITS
        )  # distinguishes the snapshots of sidecars; not a secret
        self._schema = SCHEMA
        self._epoch = ""
        self._log = RedisLog(self._connection, self._keys, self._texts, self.status)
        self._rates = RedisRates(self._connection, self._keys, self.status.sidecar_id)
        self._lease_until = 0.0
        self._trim_at = 0.0
        self._loaded = False
        self._saving: asyncio.Future[None] | None = None

    # -- loading -----------------------------------------------------------------------------------

    async def load(self, now: float) -> StoredState:
        """Load the state from Redis; at start-up from the last known file, if Redis cannot be reached.

        Raises:
            StoreError: Redis cannot be used, and there is no last known state.
        """
        try:
            if not self._loaded:
                await self._check()
                await self.beat()
            stored = await self._load()
        except StoreUnavailable as error:
            self._down(error)
            last = None
            if not self._loaded and self._settings.last_known_file:
                path = Path(self._settings.last_known_file)
                last = await asyncio.get_running_loop().run_in_executor(None, load_last_known, path)
            if last is None:
                raise
            stored = last
            self.status.sidecars = last.sidecars
        self._loaded = True
        version = (int(now * 1000) << _VERSION_BITS) + self._number
        return replace(stored, version=version, version_step=1 << _VERSION_BITS)

    async def _check(self) -> None:
        report = await check_server(self._connection, self._settings)
        if report.problem:
            raise StoreError(f"store: {report.problem}")
        for warning in report.warnings:
            logger.warning("store_less_durable", extra={"fields": {"why": warning}})

    async def _load(self) -> StoredState:
        keys = self._keys
        texts = await self._connection.run(
            scripts.LOAD,
            [keys.meta, keys.scopes, keys.sources, keys.tombstones, keys.log, keys.history],
            [SCHEMA, uuid4().hex, _TOKENS, self._epoch, self.status.known_seq, repr(RATE_LEASE_SECS)],
        )
        try:
            stored = await asyncio.get_running_loop().run_in_executor(None, self._texts.state_of, texts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"store: Redis {self._connection.address} has data under {self._settings.prefix!r} that is "
                f"not from this program: {error}: use another redis.prefix"
            ) from error
        for key, field, why in self._texts.invalid[:_MOST_LOGGED]:
            fields = {"key": f"{{{self._settings.prefix}}}:{key}", "field": field, "error": why}
            logger.error("record_not_valid", extra={"fields": fields})
        self._epoch = stored.position.epoch
        self.status.known_seq = stored.position.seq
        return stored

    # -- committing --------------------------------------------------------------------------------

    async def commit(self, batch: Batch) -> CommitResult:
        """Store ``batch`` if the versions that it read are current.

        Raises:
            StoreUnavailable: the batch may not be stored.
        """
        if len(batch.records) + len(batch.tombstones) > _LARGE_BATCH:
            args = await asyncio.get_running_loop().run_in_executor(None, self._commit_args, batch)
        else:
            args = self._commit_args(batch)
        keys = self._keys
        names = [keys.meta, keys.scopes, keys.sources, keys.tombstones, keys.log, keys.history, keys.lease]
        names.append(keys.turns)
        try:
            answer = await self._connection.run(scripts.COMMIT, names, args)
            if self._settings.wait_replicas and answer[0] == b"committed":
                await self._wait_for_replicas()
        except StoreUnavailable as error:
            self._down(error)
            raise
        return self._result_of(batch, answer)

    def _commit_args(self, batch: Batch) -> list[str | int]:
        texts = self._texts.texts_of(batch) if batch.writes else CommitTexts("", "", {})
        entries = entry_texts(batch)
        position, watchdog = batch.position, batch.seen_watchdog
        args: list[str | int] = [
            SCHEMA, position.epoch, position.seq, position.token, batch.token, self.status.sidecar_id,
            "" if batch.term is None else batch.term, self._keys.channel, repr(batch.at),
            "0" if watchdog is None else "1", watchdog or "", texts.body, batch.turn, texts.announced,
        ]  # fmt: skip
        for versions in (batch.read.scopes, batch.read.sources):
            args.append(len(versions))
            for key, version in versions.items():
                args += [key, version]
        tombstones = {
            source: "" if one is None else to_text(encode(one)) for source, one in batch.tombstones.items()
        }
        sources = {source: "1" if present else "" for source, present in batch.sources.items()}
        for written in (texts.records, sources, tombstones):
            args.append(len(written))
            for key, text in written.items():
                args += [key, text]
        return [*args, len(entries), *entries]

    async def _wait_for_replicas(self) -> None:
        wanted = self._settings.wait_replicas
        millis = int(self._settings.timeout_secs * 500)

        async def wait(client: Any) -> int:  # noqa: ANN401
            # WAIT counts the writes of its own connection, so it must follow a write on it.
            pipeline = client.pipeline(transaction=False)
            pipeline.hset(self._keys.meta, "waited", self.status.sidecar_id)
            pipeline.execute_command("WAIT", wanted, millis)
            return int((await pipeline.execute())[1])

        confirmed = await self._connection.call(wait)
        if confirmed < wanted:
            raise StoreUnavailable(
                f"Redis {self._connection.address}: {confirmed} of {wanted} replicas confirmed a write "
                "(redis.wait_replicas): it may be lost"
            )

    def _result_of(self, batch: Batch, answer: list[Any]) -> CommitResult:
        match answer[0]:
            case b"committed":
                seq = int(answer[1])
                self.status.known_seq = max(self.status.known_seq, seq)
                return Committed(Position(batch.position.epoch, seq, batch.token))
            case b"valid":
                return Committed(batch.position)
            case b"conflict":
                seq = int(answer[1])
                # If there is no newer commit, the versions differ for an unknown reason.
                if seq <= batch.position.seq:
                    return Outdated(went_back=False)
                return Conflict(seq, answer[2].decode(), int(answer[3]))
            case b"back":
                return Outdated(went_back=True)
            case b"schema":
                raise StoreUnavailable(
                    f"the records in Redis have schema {answer[1].decode()}, this sidecar writes "
                    f"{SCHEMA}: update it"
                )
        raise StoreUnavailable("another sidecar is the leader now: its command is not applied")

    # -- following ---------------------------------------------------------------------------------

    async def read_log(self, position: Position) -> list[LoggedCommit] | Outdated:
        """Some of the commits after ``position``; see `SharedStore`. Raises `StoreUnavailable`."""
        try:
            return await self._log.read(position)
        except StoreUnavailable as error:
            self._down(error)
            raise

    def follow(self, position: Position) -> AsyncIterator[LoggedCommit | Outdated]:
        """The commits after ``position``, in order; see `SharedStore`."""
        return self._log.follow(position, self.on_commit)

    # -- heartbeat ---------------------------------------------------------------------------------

    async def beat(self) -> None:
        """Renew or take the lease, read the time, and find out whether commits were missed."""
        began, keys, must_write = time.monotonic(), self._keys, not self.status.up
        try:
            answer = await self._connection.run(
                scripts.BEAT,
                [keys.meta, keys.lease, keys.watchdog, keys.scopes],
                [
                    self.status.sidecar_id,
                    int(LEASE_SECS * 1000),
                    keys.channel,
                    repr(RATE_LEASE_SECS),
                    repr(GAP_SECS),
                    "1" if must_write else "0",
                ],
            )
        except (StoreUnavailable, StoreError) as error:
            self._down(error)
            if not self._loaded:
                raise
            return
        ended = time.monotonic()
        seconds, micros, epoch, seq, holder, term, sidecars, *watchdog = answer
        if ended - began <= _GOOD_ROUND_TRIP_SECS:
            now = int(seconds) + int(micros) / 1e6 + (ended - began) / 2
            self.status.clock_offset_secs = now - time.time()
            self.on_time(now)
        status = self.status
        status.watchdog = _receipt_of(watchdog, int(seconds) + int(micros) / 1e6, ended)
        unconfirmed = await self._unconfirmed()
        before = (status.up, status.leader, status.leader_id, status.term)
        if unconfirmed:
            status.up, status.error = False, unconfirmed
        elif status.up or must_write:
            # If a command failed meanwhile, this answer does not prove that Redis accepts writes.
            status.up, status.error = True, ""
        status.leader_id, status.term = holder.decode(), int(term)
        status.sidecars = max(1, int(sidecars))
        status.leader = status.leader_id == status.sidecar_id
        self._lease_until = began + LEASE_SECS
        if epoch.decode() != self._epoch or int(seq) != status.known_seq:
            status.known_seq = int(seq)
            self._log.catch_up()
        if before != (status.up, status.leader, status.leader_id, status.term):
            self.on_status()
        if status.leader and began >= self._trim_at:
            self._trim_at = began + _TRIM_SECS
            await self._trim()

    async def _unconfirmed(self) -> str:
        """Why too few replicas would confirm a command; empty: enough of them confirm a write."""
        if not self._settings.wait_replicas:
            return ""
        try:
            await self._wait_for_replicas()
        except StoreUnavailable as error:
            return str(error)
        return ""

    async def share_watchdog(self, alertname: str, notice: WatchdogNotice) -> bool:
        """Record that the watchdog alert was received now. See `SharedStore`."""
        word = "firing" if notice.firing else "resolved"
        args: list[str | int] = [alertname, word, notice.fingerprint, repr(notice.at)]
        return bool(await self._connection.run(scripts.WATCHDOG, [self._keys.watchdog], args))

    async def lease(self, needs: Sequence[Need]) -> list[Lease]:
        """The lease for each need. Raises `StoreUnavailable`."""
        try:
            return await self._rates.lease(needs)
        except StoreUnavailable as error:
            self._down(error)
            raise

    async def _trim(self) -> None:
        async def trim(client: Any) -> None:  # noqa: ANN401 - redis-py has no types for it
            await execute(client, "XTRIM", self._keys.log, "MAXLEN", "~", _MAX_LOG)

        try:
            await self._connection.call(trim)
            await self._history.trim(self.status.now())
        except StoreUnavailable as error:
            logger.warning("trim_failed", extra={"fields": {"error": str(error)}})

    def _down(self, error: Exception) -> None:
        self.status.error = str(error)
        changed = self.status.up
        self.status.up = False
        if self.status.leader and time.monotonic() > self._lease_until:
            self.status.leader, changed = False, True
        if changed and self._loaded:
            self.on_status()

    # -- the rest ----------------------------------------------------------------------------------

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first. Raises `StoreUnavailable`."""
        return await self._history.read(query)

    async def history_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        """The entries with a higher id than ``after_id``, oldest first. Raises `StoreUnavailable`."""
        return await self._history.read_after(after_id, limit)

    async def load_values(self) -> dict[str, str]:
        """What `save_values` has stored, by key. Raises `StoreUnavailable`."""

        async def read(client: Any) -> Any:  # noqa: ANN401 - as Redis answers
            return await client.hgetall(self._keys.positions)

        return {key.decode(): text.decode() for key, text in (await self._connection.call(read)).items()}

    async def save_values(self, values: Mapping[str, str | None]) -> None:
        """Store short texts outside of the records, such as how far a hook has come; None: remove the key.

        Raises:
            StoreUnavailable: the batch may not be stored.
        """

        async def write(client: Any) -> None:  # noqa: ANN401 - redis-py has few types
            pipeline = client.pipeline(transaction=True)
            for key, text in values.items():
                if text is None:
                    pipeline.hdel(self._keys.positions, key)
                else:
                    pipeline.hset(self._keys.positions, key, text)
            await pipeline.execute()

        if values:
            await self._connection.call(write)

    async def append_history(self, entries: list[HistoryEntry]) -> None:
        """Append ``entries`` of another store, oldest first. Raises `StoreUnavailable`."""
        for first in range(0, len(entries), _PAGE):
            await self._history.append(entries[first : first + _PAGE])

    def keep_last_known(self, state: StoredState) -> None:
        """Write the last known file, in a thread. While it is being written, this does nothing."""
        path = self._settings.last_known_file
        if path and (self._saving is None or self._saving.done()):
            self._saving = asyncio.get_running_loop().run_in_executor(None, self._save, Path(path), state)

    def _save(self, path: Path, state: StoredState) -> None:
        try:
            save_last_known(path, state, self.status.sidecars)
        except OSError as error:
            fields = {"file": str(path), "error": str(error)}
            logger.warning("last_known_not_written", extra={"fields": fields})

    async def close(self) -> None:
        """Give the lease back, and close the connections."""
        if self.status.leader and self.status.up:
            try:
                await self._connection.run(scripts.RELEASE, [self._keys.lease], [self.status.sidecar_id])
            except StoreUnavailable as error:
                logger.debug("release_failed", extra={"fields": {"error": str(error)}})
        if self._saving is not None:
            await self._saving
        await self._connection.close()


def _receipt_of(texts: list[bytes], now: float, known_at: float) -> WatchdogReceipt | None:
    alertname, firing, resolved = (text.decode() for text in texts)
    if not alertname:
        return None
    return WatchdogReceipt(
        alertname,
        max(0.0, now - float(firing)) if firing else None,
        max(0.0, now - float(resolved)) if resolved else None,
        known_at,
    )
