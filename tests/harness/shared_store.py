"""A store in memory that several controllers share, instead of Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

from sidecar.store import (
    Batch,
    Change,
    CommitResult,
    Committed,
    Conflict,
    FleetStatus,
    HistoryEntry,
    HistoryQuery,
    LoggedCommit,
    MemoryStore,
    Outdated,
    Position,
    StoredState,
    StoreError,
    StoreUnavailable,
    Versions,
)


class SharedData:
    """The shared data, with its log of commits."""

    def __init__(self) -> None:
        self.epochs = count(1)
        self.up = True
        self.history = MemoryStore()
        self.subscribers: list[SharedMemoryStore] = []
        self.wipe()

    def wipe(self) -> None:
        self.epoch = f"epoch{next(self.epochs)}"
        self.log: list[tuple[Change, Batch]] = []
        self.trimmed = 0
        self.records, self.tombstones = {}, {}
        self.scopes: dict[str, int] = {}
        self.sources: dict[str, int] = {}
        self.restored = {}
        self.seen_watchdog = ""
        self.turns: dict[str, dict[int, None]] = {}

    def go_back(self, commits: int) -> None:
        """Lose the last ``commits`` commits."""
        keep = self.log[: max(0, len(self.log) - commits)]
        epoch, trimmed = self.epoch, min(self.trimmed, len(keep))
        self.wipe()
        self.epoch, self.trimmed = epoch, trimmed
        for change, batch in keep:
            self._write(change, batch)

    @property
    def position(self) -> Position:
        return self.log[-1][0].position if self.log else Position(self.epoch, 0, "")

    def lost(self, position: Position) -> bool:
        """Whether the commit at ``position`` is not in the log, and was not trimmed."""
        if position.epoch != self.epoch or position.seq > len(self.log):
            return True
        known = position.seq and position.seq > self.trimmed
        return bool(known and self.log[position.seq - 1][0].position.token != position.token)

    def after(self, position: Position) -> list[Change] | Outdated:
        """The commits after ``position``."""
        if self.lost(position):
            return Outdated(went_back=True)
        if position.seq < self.trimmed:
            return Outdated(went_back=False)
        return [change for change, _ in self.log[position.seq :]]

    def commit(self, batch: Batch, sidecar: int) -> CommitResult:
        if self.lost(batch.position):
            return Outdated(went_back=True)
        read = batch.read
        changed = [
            f"scope:{one}" for one, version in read.scopes.items() if self.scopes.get(one, 0) != version
        ]
        changed += [f"source:{a}" for a, version in read.sources.items() if self.sources.get(a, 0) != version]
        if changed:
            if len(self.log) <= batch.position.seq:
                return Outdated(went_back=False)
            turns = self.turns.setdefault(changed[0], {})
            turns.setdefault(sidecar)
            return Conflict(len(self.log), changed[0], list(turns).index(sidecar))
        self.turns.get(batch.turn, {}).pop(sidecar, None)
        if not batch.writes:
            return Committed(batch.position)
        position = Position(self.epoch, len(self.log) + 1, batch.token)
        change = Change(
            position,
            dict(batch.records),
            dict(batch.tombstones),
            dict(batch.sources),
            batch.ended,
            batch.at,
            batch.seen_watchdog,
            dict(batch.restored),
        )
        self._write(change, batch)
        parts = {scope: patch.record for scope, patch in batch.patches.items()}
        announced = replace(change, records=change.records | parts, patches=dict(batch.patches))
        for one in self.subscribers:
            one.receive(announced, batch.is_quiet)
        return Committed(position)

    def _write(self, change: Change, batch: Batch) -> None:
        self.log.append((change, batch))
        seq = change.position.seq
        for scope, record in change.records.items():
            self.restored.pop(scope, None)
            if record is None:
                self.records.pop(scope, None)
                self.scopes.pop(scope, None)
            else:
                self.records[scope] = record
                self.scopes[scope] = seq
        self.restored |= change.restored
        for source, present in change.sources.items():
            if present:
                self.sources[source] = seq
            else:
                self.sources.pop(source, None)
        for source, tombstone in change.tombstones.items():
            self.tombstones.pop(source, None)
            if tombstone is not None:
                self.tombstones[source] = tombstone
        if change.seen_watchdog is not None:
            self.seen_watchdog = change.seen_watchdog


class SharedMemoryStore:
    """One sidecar's connection to the shared data. The test decides which messages arrive."""

    def __init__(self, data: SharedData, number: int) -> None:
        self.data = data
        self.number = number
        self.status = FleetStatus(sidecar_id=f"sidecar-{number}")
        self.on_status = lambda: None
        self.on_commit = lambda _: False
        self.inbox: list[LoggedCommit] = []
        self.position = Position("", 0, "")
        self.is_current = False
        self.held = False
        self.filled = asyncio.Event()
        self.delay = 0.0
        self.loses_answer = False
        self.garbles = False
        self.last_known: StoredState | None = None
        data.subscribers.append(self)

    def receive(self, change: Change, is_quiet: bool) -> None:
        commit = self.logged(change, is_quiet)
        idle = self.is_current and not self.filled.is_set() and not self.held
        before = (change.position.epoch, change.position.seq - 1)
        if idle and (self.position.epoch, self.position.seq) == before and self.on_commit(commit):
            self.position = change.position
            return
        self.inbox.append(commit)
        self.filled.set()

    def check(self) -> None:
        """The heartbeat: whether the data can be reached, and whether a commit was missed."""
        if self.status.up != self.data.up:
            self.status.up = self.data.up
            self.status.error = "" if self.data.up else "the store is down"
            self.on_status()
        self.filled.set()

    beat_secs = 1.0

    async def beat(self) -> None:
        self.check()

    async def share_watchdog(self, alertname: str, notice) -> bool:
        """There is no watchdog."""
        return True

    async def lease(self, needs) -> list:
        raise StoreUnavailable("nothing is leased here")

    async def load(self, now: float) -> StoredState:
        if not self.data.up:
            raise StoreUnavailable("the store is down")
        data = self.data
        return StoredState(
            dict(data.records),
            dict(data.tombstones),
            (int(now * 1000) << 12) + self.number,
            None,
            data.seen_watchdog,
            1 << 12,
            data.position,
            Versions(dict(data.scopes), dict(data.sources)),
            dict(data.restored),
            {change.position.seq: change.position.token for change, _ in data.log},
        )

    async def commit(self, batch: Batch) -> CommitResult:
        await asyncio.sleep(self.delay)
        if not self.data.up:
            self.check()
            raise StoreUnavailable("the store is down")
        result = self.data.commit(batch, self.number)
        if isinstance(result, Committed) and batch.writes:
            await self.data.history.commit(replace(batch))
        await asyncio.sleep(self.delay)
        if self.loses_answer:
            self.loses_answer = False
            raise StoreUnavailable("the answer was lost")
        return result

    async def read_log(self, position: Position) -> list[LoggedCommit] | Outdated:
        await asyncio.sleep(self.delay)
        if not self.data.up:
            self.check()
            raise StoreUnavailable("the store is down")
        found = self.data.after(position)
        return found if isinstance(found, Outdated) else [self.logged(change) for change in found]

    def logged(self, change: Change, is_quiet: bool = False) -> LoggedCommit:
        garbled, self.garbles = self.garbles, False

        def read() -> Change:
            if garbled:
                raise StoreError("not valid")
            return change

        text = json.dumps([*change.records, *change.sources]).encode()
        return LoggedCommit(change.position, text, read, bool(change.patches), is_quiet)

    async def follow(self, position: Position) -> AsyncIterator[LoggedCommit | Outdated]:
        self.inbox.clear()
        self.filled.set()
        self.position = position
        while True:
            self.is_current = True
            try:
                await self.filled.wait()
            finally:
                self.is_current = False
            self.filled.clear()
            if self.held or not self.data.up:
                continue
            inbox, self.inbox = self.inbox, []
            epoch, seq = self.position.epoch, self.position.seq
            wanted = [(epoch, seq + 1 + number) for number in range(len(inbox))]
            if not inbox or [(one.position.epoch, one.position.seq) for one in inbox] != wanted:
                # A commit was missed or is already known; the log has all commits.
                newer = self.data.after(self.position)
                if isinstance(newer, Outdated):
                    yield newer
                    return
                inbox = [self.logged(change) for change in newer]
            for commit in inbox:
                yield commit
                self.position = commit.position

    def keep_last_known(self, state: StoredState) -> None:
        self.last_known = state

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        return await self.data.history.history(query)

    async def history_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        return await self.data.history.history_after(after_id, limit)

    async def load_values(self) -> dict[str, str]:
        return await self.data.history.load_values()

    async def save_values(self, positions) -> None:
        await self.data.history.save_values(positions)

    async def close(self) -> None:
        self.data.subscribers.remove(self)
