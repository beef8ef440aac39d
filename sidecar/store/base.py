"""The protocol of a store, and its values."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.core.events import CoreEvent, SignalDropped, SignalPut, StateChanged
from sidecar.core.values import ScopeRecord, Tombstone

from .entries import HistoryEntry, HistoryQuery
from .leases import Lease, Need


class StoreError(Exception):
    """A store cannot be used. The message names the store and the remedy."""


class StoreUnavailable(StoreError):
    """A read or commit failed. Nothing of a failed batch is stored."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the sequence of the commits of a fleet.

    Attributes:
        epoch: identifies the data set; a store that lost everything has another one. Empty: the store belongs
            to this process alone and has no sequence.
        seq: number of the commit.
        token: random text of that commit. A different token at the same number shows that the store lost
            commits and made others since.
    """

    epoch: str = ""
    seq: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class LostCommit:
    """The commit of a record that the store lost. Another commit has restored the record, or has to.

    Attributes:
        epoch: the epoch of the lost commit.
        seq: its number.
        is_original: whether the record is still unchanged since the lost commit.
    """

    epoch: str
    seq: int
    is_original: bool = True


@dataclass(frozen=True, slots=True)
class Versions:
    """The number of the last commit that changed each key. 0 is the version of a missing key.

    Attributes:
        scopes: by scope.
        sources: by the source of an alert: its signal or its tombstone changed.
    """

    scopes: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredState:
    """The stored state.

    Attributes:
        records: records by scope.
        tombstones: tombstones by source.
        version: no earlier snapshot has a higher version, and no snapshot of this run has a lower one.
        last_written_at: wall time of the last write; None: never.
        seen_watchdog: name of the watchdog alert that was received; empty: none was.
        version_step: the difference between successive snapshot versions. Sidecars that share a store have
            versions with different remainders, so that a client may change from one sidecar to another.
        position: the last commit that the state contains.
        versions: the version of each record and source.
        restored: scopes whose record was written again, with the lost commit.
        tokens: tokens of the latest commits by number, to find where two sequences part.
        is_last_known: the state comes from the local file, because the store cannot be reached.
        sidecars: size of the fleet when that file was written.
        unreadable: scopes whose record is not valid. It is not in ``records``.
    """

    records: Mapping[str, ScopeRecord] = field(default_factory=dict)
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    version: int = 0
    last_written_at: float | None = None
    seen_watchdog: str = ""
    version_step: int = 1
    position: Position = Position()
    versions: Versions = Versions()
    restored: Mapping[str, LostCommit] = field(default_factory=dict)
    tokens: Mapping[int, str] = field(default_factory=dict)
    is_last_known: bool = False
    sidecars: int = 1
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RecordPatch:
    """The changes of a record with many signals.

    Attributes:
        base: the version of the record that the patch changes.
        record: the new record with only its new and changed signals.
        ended: the sources of the signals that have ended.
    """

    base: int
    record: ScopeRecord
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that are stored together, completely or not at all.

    Attributes:
        records: the records that changed; None: forgotten.
        tombstones: the tombstones that changed; None: removed.
        events: the events; they give the changed signals and the history entries.
        rewritten: scopes whose signals are all stored again, regardless of ``events``.
        at: wall time, seconds since the epoch.
        seen_watchdog: name of the watchdog alert that was received; None: unchanged.
        position: the last commit that the decision knew.
        read: the versions that the decision read; the batch is stored only if all of them are current.
        sources: alert sources that changed; true: the source still has a signal or a tombstone.
        restored: scopes whose record the store lost and that are written again, with the lost commit.
        token: random text that identifies the batch.
        term: store the batch only if the leader's term is this; None: any sidecar may store it.
        turn: the key of the last conflict. Storing this batch ends the sidecar's wait for its turn.
        patches: the announcements of some ``records``, instead of the whole records.
    """

    records: Mapping[str, ScopeRecord | None]
    tombstones: Mapping[str, Tombstone | None]
    events: tuple[CoreEvent, ...]
    rewritten: frozenset[str] = frozenset()
    at: float = 0.0
    seen_watchdog: str | None = None
    position: Position = Position()
    read: Versions = Versions()
    sources: Mapping[str, bool] = field(default_factory=dict)
    restored: Mapping[str, LostCommit] = field(default_factory=dict)
    token: str = ""
    term: int | None = None
    turn: str = ""
    patches: Mapping[str, RecordPatch] = field(default_factory=dict)

    @property
    def ended(self) -> tuple[tuple[str, str], ...]:
        """Scope and source of each alert signal that ended other than by time."""
        return tuple(
            (event.scope, event.signal.source)
            for event in self.events
            if isinstance(event, SignalDropped) and not event.expired and event.signal.kind == "alert"
        )

    @property
    def is_quiet(self) -> bool:
        """Whether only claims change, and no gate, hold, restriction or alert that has ended."""
        return bool(
            self.events
            and all(isinstance(event, SignalPut | SignalDropped | StateChanged) for event in self.events)
            and not (self.tombstones or self.ended or self.restored or self.seen_watchdog is not None)
            and None not in self.records.values()
        )

    @property
    def writes(self) -> bool:
        """Whether anything is stored. Otherwise the batch only validates what its decision read."""
        return bool(
            self.records or self.tombstones or self.events or self.sources or self.seen_watchdog is not None
        )


@dataclass(frozen=True, slots=True)
class Change:
    """The changes of one commit of a fleet.

    Attributes:
        position: the commit.
        records: the records that changed; None: forgotten.
        tombstones: the tombstones that changed; None: removed.
        sources: as in `Batch`.
        ended: scope and source of each alert signal that ended other than by time.
        at: wall time of the commit.
        seen_watchdog: as in `Batch`.
        restored: as in `Batch`.
        patches: the changes of the ``records`` that were announced as patches.
    """

    position: Position
    records: Mapping[str, ScopeRecord | None]
    tombstones: Mapping[str, Tombstone | None]
    sources: Mapping[str, bool]
    ended: tuple[tuple[str, str], ...] = ()
    at: float = 0.0
    seen_watchdog: str | None = None
    restored: Mapping[str, LostCommit] = field(default_factory=dict)
    patches: Mapping[str, RecordPatch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoggedCommit:
    """A commit in the log of the store, or its announcement. Its text is converted only if necessary.

    Attributes:
        position: the commit.
        text: its text, JSON.
        read: converts the text. Raises `StoreError` if the text is not valid.
        has_patches: it is an announcement with patches. The log has the whole commit.
        is_quiet: it changes no gate; see `Batch`.
    """

    position: Position
    text: bytes
    read: Callable[[], Change]
    has_patches: bool = False
    is_quiet: bool = False

    @property
    def size(self) -> int:
        """Length of its text."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class Committed:
    """The batch is stored. Other sidecars' commits since its decision changed other keys.

    Attributes:
        position: the commit; the position of the batch's decision if nothing had to be written.
    """

    position: Position


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was stored, because other sidecars changed records that the decision had read.

    Attributes:
        seq: the number of the newest commit. Apply the commits up to it, and decide again.
        key: the key that has changed: ``scope:`` and the scope, or ``source:`` and the source of an alert.
        ahead: how many other sidecars have waited longer to change this key.
    """

    seq: int
    key: str = ""
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Outdated:
    """The state has to be loaded again. If a commit returns this, nothing was stored.

    Attributes:
        went_back: the store lost commits that were known: it is another data set, or an older copy. False:
            the log of the commits does not reach back far enough.
    """

    went_back: bool


CommitResult = Committed | Conflict | Outdated


@dataclass(frozen=True, slots=True)
class WatchdogNotice:
    """The watchdog alert as a notification, or a query of Alertmanager, shows it.

    Attributes:
        firing: whether it fires.
        fingerprint: the hash of its labels; empty: not known.
        at: its startsAt if it fires, else its endsAt: seconds since the epoch; 0: not known.
    """

    firing: bool
    fingerprint: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class WatchdogReceipt:
    """When sidecars of the fleet received the watchdog alert.

    Attributes:
        alertname: its name.
        firing_secs: how long before ``known_at`` it was last received firing; None: never.
        resolved_secs: how long before ``known_at`` it was last received resolved; None: never.
        known_at: monotonic time.
    """

    alertname: str
    firing_secs: float | None
    resolved_secs: float | None
    known_at: float

    def firing_ago(self) -> float | None:
        """Seconds since it was received firing; None: never."""
        return self._ago(self.firing_secs)

    def resolved_ago(self) -> float | None:
        """Seconds since it was received resolved; None: never."""
        return self._ago(self.resolved_secs)

    def _ago(self, secs: float | None) -> float | None:
        return None if secs is None else secs + time.monotonic() - self.known_at


@dataclass(slots=True)
class FleetStatus:
    """What a sidecar knows about its fleet. The store writes it.

    Attributes:
        sidecar_id: identifies this process.
        up: whether the store answered last time.
        leader: whether this sidecar is the leader.
        leader_id: the sidecar that is the leader; empty: not known.
        term: the term of the leader.
        sidecars: how many sidecars follow the store.
        known_seq: the newest commit that this sidecar knows of.
        lag_secs: seconds from the last commit of another sidecar to its arrival here.
        went_back: how often the store went back in time.
        clock_offset_secs: how far the store's clock is ahead of this machine's.
        error: why the store cannot be used; empty: it can.
        watchdog: when the watchdog alert was received; None: never.
    """

    sidecar_id: str = ""
    up: bool = True
    leader: bool = False
    leader_id: str = ""
    term: int = 0
    sidecars: int = 1
    known_seq: int = 0
    lag_secs: float = 0.0
    went_back: int = 0
    clock_offset_secs: float = 0.0
    error: str = ""
    watchdog: WatchdogReceipt | None = None

    def now(self) -> float:
        """The time of the store's clock, seconds since the epoch."""
        return time.time() + self.clock_offset_secs


class Store(Protocol):
    """Stores the state. One controller uses one store, with one call at a time."""

    async def load(self, now: float) -> StoredState:
        """Load the state at wall time ``now``. Raises `StoreError` if the store cannot be used."""

    async def commit(self, batch: Batch) -> CommitResult | None:
        """Store ``batch`` durably. Raises `StoreUnavailable` if it was not stored.

        Returns:
            The result; None: stored, by a store that belongs to one process alone.
        """

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first. Raises `StoreUnavailable`."""

    async def history_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        """The entries with a higher id than ``after_id``, oldest first. Raises `StoreUnavailable`."""

    async def load_values(self) -> dict[str, str]:
        """What `save_values` has stored, by key. Raises `StoreUnavailable`."""

    async def save_values(self, values: Mapping[str, str | None]) -> None:
        """Store short texts outside of the records, such as how far a hook has come; None: remove the key.

        Args:
            values: text by key. Other keys stay as they are.

        Raises:
            StoreUnavailable: nothing was stored.
        """

    async def close(self) -> None:
        """Close files and connections."""


class SharedStore(Store, Protocol):
    """A store that several sidecars share.

    Attributes:
        status: what the store knows about the fleet.
        on_status: called when ``up``, ``leader`` or ``term`` of the status changed.
        on_commit: called with an arrived commit if `follow` has yielded all earlier commits. Returns
            whether it took the commit; then `follow` does not yield it.
        beat_secs: how often `beat` has to be called.
    """

    status: FleetStatus
    on_status: Callable[[], None]
    on_commit: Callable[[LoggedCommit], bool]
    beat_secs: float

    async def beat(self) -> None:
        """Renew or take the leader's lease, and update the status. Call this every few seconds."""

    async def share_watchdog(self, alertname: str, notice: WatchdogNotice) -> bool:
        """Record that the watchdog alert was received now.

        Returns:
            False: the notice is the late resolve of an alert that has fired again. Nothing was recorded.

        Raises:
            StoreUnavailable: it could not be recorded.
        """

    async def lease(self, needs: Sequence[Need]) -> list[Lease]:
        """The lease for each need. Raises `StoreUnavailable`."""

    async def read_log(self, position: Position) -> list[LoggedCommit] | Outdated:
        """Some of the commits after ``position``, in order; empty: there are none.

        Raises:
            StoreUnavailable: the log cannot be read.
        """

    def follow(self, position: Position) -> AsyncIterator[LoggedCommit | Outdated]:
        """The commits of all sidecars after ``position``, in order; waits for the next ones.

        After `Outdated` the iterator ends: load the state, and follow from its position.
        """

    def keep_last_known(self, state: StoredState) -> None:
        """Keep ``state`` in the local file, for a start without the store."""
