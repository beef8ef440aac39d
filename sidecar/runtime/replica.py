"""The commits of a fleet that one of its sidecars has applied.

Every commit has a number. Each scope and each alert source has a version: the number of the last commit that
changed it. A decision is committed only if the versions that it read are current. The commits of others are
applied in sequence, as they were decided there.

Rules of this file: no I/O and no clock. The core state is read, never changed; a `StateDelta` is returned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from sidecar.core.events import CoreEvent
from sidecar.core.lost_records import merge_lost
from sidecar.core.model import CoreState, StateDelta
from sidecar.core.scope import ROOT
from sidecar.core.values import ALERT_PREFIX, EMPTY, ScopeRecord, Tombstone
from sidecar.store import Batch, Change, LostCommit, Position, StoredState, Versions

from .inside_versions import changed_inside, inside_key
from .record_patches import patches_of

_MAX_TOKENS = 10_000
"""Number of commits whose tokens are remembered, to find the commit that the store went back to."""


class Replica:
    """The position and the versions of the state that this sidecar has applied.

    Args:
        stored: the state that was loaded.

    Attributes:
        position: the last commit that was applied.
        owed: scopes whose record the store lost and which have to be restored, with the lost commit.
        owed_tombstones: the same for tombstones, by source.
    """

    def __init__(self, stored: StoredState) -> None:
        self.owed: dict[str, LostCommit] = {}
        self.owed_tombstones: set[str] = set()
        self._start_from(stored)

    def _start_from(self, stored: StoredState) -> None:
        self.position = stored.position
        self._scopes = dict(stored.versions.scopes)
        self._sources = dict(stored.versions.sources)
        self._restored = dict(stored.restored)
        # Own commits that were applied before commits that precede them, with their tokens.
        self._early: dict[int, str] = {}
        self._tokens: OrderedDict[int, str] = OrderedDict(sorted(stored.tokens.items()))
        self._remember(stored.position)

    @property
    def versions(self) -> Versions:
        """The versions of all scopes and sources."""
        return Versions(self._scopes, self._sources)

    @property
    def restored(self) -> Mapping[str, LostCommit]:
        """The scopes that were written again."""
        return self._restored

    def version_of(self, scope: str) -> int:
        """The version of the record of ``scope``."""
        return self._scopes.get(scope, 0)

    # -- own decisions -----------------------------------------------------------------------------

    def batch(
        self,
        state: CoreState,
        delta: StateDelta,
        events: tuple[CoreEvent, ...],
        *,
        at: float,
        token: str,
        term: int | None = None,
        restoring: bool = False,
        turn: str = "",
    ) -> Batch | None:
        """The batch that commits ``delta``; None: there is nothing to commit and nothing to validate.

        Args:
            state: the state that ``delta`` was made from.
            delta: what was decided.
            events: the events of the decisions.
            at: wall time.
            token: identifies the batch.
            term: the leader's term that the batch depends on.
            restoring: whether to write the lost records again.
            turn: the key for which this sidecar waited.
        """
        records = self._changed_records(state, delta)
        tombstones = dict(delta.tombstones)
        sources = {*delta.scope_by_alert, *tombstones}
        restored = {
            scope: LostCommit(o.epoch, o.seq, False)
            for scope, o in self._restored.items()
            if scope in records
        }
        if restoring:
            self._add_owed(state, records, restored, tombstones, sources)
        received_watchdog = delta.seen_watchdog if delta.seen_watchdog != state.seen_watchdog else None
        inside = changed_inside(state, delta, records, self.owed)
        read_scopes, read_sources = delta.read_scopes | records.keys(), delta.read_sources | sources
        read_sources |= {inside_key(parent) for parent in delta.read_inside}
        # Check these versions: this commit removes them, and another sidecar may add a scope meanwhile.
        read_sources |= {key for key, present in inside.items() if not present}
        if not (events or read_scopes or read_sources or received_watchdog):
            return None
        return Batch(
            records,
            tombstones,
            events,
            frozenset(delta.rewritten),
            at,
            received_watchdog,
            self.position,
            self._versions_of(read_scopes, read_sources),
            {source: _is_present(delta, source) for source in sources} | inside,
            restored,
            token,
            term,
            turn,
            patches_of(state.records, records, self._scopes, owed=self.owed, restored=restored),
        )

    def _changed_records(self, state: CoreState, delta: StateDelta) -> dict[str, ScopeRecord | None]:
        """The records of ``delta`` that differ. An empty record of a scope that only the config names is not
        stored.

        Another sidecar may write an owed record again. So an empty record is stored if its scope is owed.
        """
        named = _named(delta)
        return {
            scope: record
            for scope, record in delta.records.items()
            if record != state.records.get(scope)
            and not (
                record == EMPTY and scope in named and scope not in self._scopes and scope not in self.owed
            )
        }

    def _add_owed(
        self,
        state: CoreState,
        records: dict[str, ScopeRecord | None],
        restored: dict[str, LostCommit],
        tombstones: dict[str, Tombstone | None],
        sources: set[str],
    ) -> None:
        """Add what the store lost to the contents of a batch."""
        for scope, lost_commit in self.owed.items():
            if scope in records:
                restored[scope] = LostCommit(lost_commit.epoch, lost_commit.seq, False)
            else:
                records[scope] = state.records.get(scope)
                restored[scope] = lost_commit
                sources |= _alerts_of(state.records.get(scope))
        for source in self.owed_tombstones - tombstones.keys():
            tombstones[source] = state.tombstones.get(source)
            sources.add(source)

    def _versions_of(self, scopes: AbstractSet[str], sources: AbstractSet[str]) -> Versions:
        return Versions(
            {scope: self._scopes.get(scope, 0) for scope in scopes},
            {source: self._sources.get(source, 0) for source in sources},
        )

    def record_commit(self, batch: Batch, position: Position) -> None:
        """Record that ``batch``, which was applied here, is the commit at ``position``."""
        self._record(batch.records, batch.sources, batch.restored, position)
        self.owed_tombstones -= batch.tombstones.keys()

    def may_precede(self, batch: Batch, position: Position) -> bool:
        """Whether ``batch``, stored at ``position``, can be applied before the commits that precede it.

        The store has checked that they do not change what ``batch`` depends on. They may have changed a
        version that it writes and has not read.
        """
        is_later = position.epoch == self.position.epoch and position.seq > self.position.seq + 1
        has_read_all = batch.sources.keys() <= batch.read.sources.keys()
        owes = self.owed or self.owed_tombstones or batch.restored
        return is_later and has_read_all and not (owes or batch.seen_watchdog)

    def record_early(self, batch: Batch, position: Position) -> None:
        """Like `record_commit`, for a batch that is applied before commits that precede it."""
        before = self.position
        self.record_commit(batch, position)
        self.position = before
        self._early[position.seq] = position.token

    @property
    def early_to(self) -> int:
        """The newest own commit that was applied before commits that precede it; 0: there is none."""
        return max(self._early, default=0)

    def is_early(self, position: Position) -> bool:
        """Whether an own commit with the number of ``position`` was applied early."""
        return position.seq in self._early

    def pass_early(self, position: Position) -> bool:
        """Skip the next commit, at ``position``, if it is an own commit that was applied early.

        Returns:
            Whether it is. If not, the store lost the own commit, and another commit uses its number.
        """
        if self._early[position.seq] != position.token:
            return False
        del self._early[position.seq]
        self.position = position
        return True

    def has_lost_early(self, stored: StoredState) -> bool:
        """Whether ``stored`` lacks an own commit that was applied early."""
        return any(stored.tokens.get(seq) != token for seq, token in self._early.items())

    # -- commits of others -------------------------------------------------------------------------

    def is_next(self, position: Position) -> bool:
        """Whether ``position`` is the commit after the last one that was applied."""
        return position.epoch == self.position.epoch and position.seq == self.position.seq + 1

    def is_known(self, position: Position) -> bool:
        """Whether the commit at ``position`` has been applied, or belongs to a data set that is gone."""
        return position.epoch != self.position.epoch or position.seq <= self.position.seq

    def has(self, position: Position) -> bool:
        """Whether the commit at ``position`` is one of the latest that have been applied."""
        return position.epoch == self.position.epoch and self._tokens.get(position.seq) == position.token

    def apply(self, state: CoreState, change: Change, delta: StateDelta) -> None:
        """Put ``change``, the next one, into ``delta``, which was made from ``state``."""
        for source, tombstone in change.tombstones.items():
            if tombstone is None:
                delta.remove_tombstone(source)
            else:
                delta.put_tombstone(source, tombstone)
        still_owed = {}
        for scope, record in change.records.items():
            merged = self._with_owed(state, delta, change, scope, record) if self.owed else record
            if merged is not record and merged != record:
                # The owed record contains this commit now.
                still_owed[scope] = replace(self.owed[scope], is_original=False)
            _put(delta, scope, merged)
        if change.seen_watchdog is not None:
            delta.seen_watchdog = change.seen_watchdog
        self._record(change.records, change.sources, change.restored, change.position)
        self.owed |= still_owed

    def _with_owed(
        self,
        state: CoreState,
        delta: StateDelta,
        change: Change,
        scope: str,
        record: ScopeRecord | None,
    ) -> ScopeRecord | None:
        """``record``, merged with the lost record of its scope if the store does not have that record yet."""
        owed = self.owed.get(scope)
        if owed is None:
            return record
        other = change.restored.get(scope)
        if _contains(other, owed):
            return record
        lost = delta.record(scope) or EMPTY
        older = other is not None and other.is_original and other.epoch == owed.epoch
        return lost if older else merge_lost(lost, record, state.tombstones)

    # -- a state that was loaded again ---------------------------------------------------------------

    def rebase(self, state: CoreState, stored: StoredState, *, went_back: bool) -> StateDelta:
        """The changes that turn ``state`` into ``stored``.

        If the store went back in time, records that it has lost are kept here, and have to be written again.

        Args:
            state: the state of this sidecar.
            stored: the state that was loaded.
            went_back: whether the store lost commits that were applied here.
        """
        delta = StateDelta(state)
        common = self._common_seq(stored) if went_back else self.position.seq
        # These records were written by commits that are in both sequences.
        newest = common if went_back else max((common, *self._early))
        lost_scopes = {scope for scope, seq in self._scopes.items() if seq > newest}
        lost_scopes |= self._scopes.keys() & stored.unreadable
        lost_at = {scope: self._origin(scope) for scope in lost_scopes}
        lost_again = went_back and not self._is_in(stored)
        for scope, one in self.owed.items():
            # If the data set is the one that lost the record, its later commits have higher numbers but do
            # not contain the record.
            is_outside = lost_again and one.epoch == self.position.epoch
            lost_at[scope] = replace(one, is_original=one.is_original and not is_outside)
        lost_tombstones = self.owed_tombstones | {
            source
            for source in state.tombstones
            if went_back and self._sources.get(source, 0) > common and source not in stored.tombstones
        }
        # Up to this commit, the record of a scope that is still owed is the record that was merged before.
        combined_to = common if went_back or self._is_in(stored) else -1
        owed: dict[str, LostCommit] = {}
        for source in (state.tombstones.keys() | stored.tombstones.keys()) - lost_tombstones:
            tombstone = stored.tombstones.get(source)
            if tombstone is None:
                delta.remove_tombstone(source)
            elif tombstone != state.tombstones.get(source):
                delta.put_tombstone(source, tombstone)
        for scope in state.records.keys() | stored.records.keys():
            record = stored.records.get(scope)
            lost = lost_at.get(scope)
            if lost is not None:
                here = state.records.get(scope, EMPTY)
                kept = _kept(here, lost, record, stored, scope=scope, common=combined_to)
                if kept != record:
                    owed[scope] = lost
                record = kept
            if record != state.records.get(scope):
                _put(delta, scope, record)
        delta.seen_watchdog = stored.seen_watchdog
        self._start_from(stored)
        self.owed = {scope: lost_commit for scope, lost_commit in owed.items() if scope in state.records}
        self.owed_tombstones = lost_tombstones & state.tombstones.keys()
        return delta

    def _origin(self, scope: str) -> LostCommit:
        """The commit that the record of ``scope`` comes from.

        If a record was restored and lost again, other sidecars may still owe another version of it. The
        number of the original commit shows which one is newer.
        """
        restored = self._restored.get(scope)
        if restored is not None and restored.is_original:
            return restored
        return LostCommit(self.position.epoch, self._scopes[scope])

    def _is_in(self, stored: StoredState) -> bool:
        """Whether the sequence of ``stored`` contains the last commit that was applied."""
        position = self.position
        if stored.position.epoch != position.epoch:
            return False
        return position.seq == 0 or stored.tokens.get(position.seq) == position.token

    def _common_seq(self, stored: StoredState) -> int:
        """The last commit that is in both sequences."""
        if stored.position.epoch != self.position.epoch:
            return 0
        common = [seq for seq, token in stored.tokens.items() if self._tokens.get(seq) == token]
        if common:
            return max(common)
        # No remembered commit is in the store's sequence: the sequences part before the first of them.
        return max(0, min(stored.position.seq, next(iter(self._tokens), 0) - 1))

    # -- bookkeeping ---------------------------------------------------------------------------------

    def _record(
        self,
        records: Mapping[str, ScopeRecord | None],
        sources: Mapping[str, bool],
        restored: Mapping[str, LostCommit],
        position: Position,
    ) -> None:
        for scope, record in records.items():
            self.owed.pop(scope, None)
            self._restored.pop(scope, None)
            if record is None:
                self._scopes.pop(scope, None)
            else:
                self._scopes[scope] = position.seq
        for source, present in sources.items():
            if present:
                self._sources[source] = position.seq
            else:
                self._sources.pop(source, None)
        self._restored |= restored
        self.position = position
        self._remember(position)

    def _remember(self, position: Position) -> None:
        self._tokens[position.seq] = position.token
        while len(self._tokens) > _MAX_TOKENS:
            self._tokens.popitem(last=False)


def _put(delta: StateDelta, scope: str, record: ScopeRecord | None) -> None:
    """Put ``record``, which another sidecar committed, into ``delta``, with the scopes of its alerts."""
    before = delta.record(scope)
    old, new = _sources_of(before), _sources_of(record)
    # Other signals are already at this scope, or an earlier commit of the delta moved them to another scope.
    for source in old ^ new:
        if not source.startswith(ALERT_PREFIX):
            continue
        if source in new:
            delta.scope_by_alert[source] = scope
        elif delta.alert_scope(source) == scope:
            delta.scope_by_alert[source] = None
    if record is not None:
        delta.put_record(scope, record)
    elif scope in _named(delta):
        delta.put_record(scope, EMPTY)
    elif before is not None:
        delta.forget(scope)


def _named(delta: StateDelta) -> frozenset[str]:
    """The scopes that are always known."""
    return frozenset((ROOT, *delta.policies.named_scopes()))


def _kept(
    here: ScopeRecord,
    lost: LostCommit,
    record: ScopeRecord | None,
    stored: StoredState,
    *,
    scope: str,
    common: int,
) -> ScopeRecord | None:
    """The record of a scope after the store lost commits: the local one, the store's, or both merged."""
    if stored.versions.scopes.get(scope, 0) <= common:
        # The record has not changed since. If it was restored, that followed an earlier loss, and the numbers
        # of that sequence may be used again.
        return here
    other = stored.restored.get(scope)
    if _contains(other, lost):
        return record
    if other is not None and other.epoch == lost.epoch and other.seq < lost.seq and other.is_original:
        return here
    return merge_lost(here, record, stored.tombstones)


def _contains(restored: LostCommit | None, lost: LostCommit) -> bool:
    """Whether a record that was restored from the commit ``restored`` contains the record of ``lost``."""
    return (
        restored is not None
        and lost.is_original
        and restored.epoch == lost.epoch
        and restored.seq >= lost.seq
    )


def _sources_of(record: ScopeRecord | None) -> AbstractSet[str]:
    return frozenset() if record is None else record.signals.keys()


def _alerts_of(record: ScopeRecord | None) -> set[str]:
    if record is None:
        return set()
    return {source for source in record.signals if source.startswith(ALERT_PREFIX)}


def _is_present(delta: StateDelta, source: str) -> bool:
    return delta.alert_scope(source) is not None or delta.tombstone(source) is not None
