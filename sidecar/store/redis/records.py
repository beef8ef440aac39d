"""Records, commits and history entries as text in Redis, and back.

`SCHEMA` is the major number: a store with another number is read, but not written. Within a major number
members may be added; a sidecar that does not know them writes them back as they were.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from sidecar.core.values import ScopeRecord, Signal, Tombstone
from sidecar.store.base import Batch, Change, LostCommit, Position, RecordPatch, StoredState, Versions
from sidecar.store.entries import HistoryEntry, entries_of
from sidecar.store.json_values import decode, decode_known, encode, unknown_members, with_unknown

from .scripts import EPOCH_FIELD

SCHEMA = "1"
_LOST_COMMIT = "offer"
_PATCH = "patch"
_NOT_VALID = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_DIGITS = re.compile("[0-9]{1,4000}")
_MANY_SIGNALS = 8
_MOST_LARGE = 16
"""Records with many signals whose last text is kept."""
_T = TypeVar("_T")


class CommitTexts(NamedTuple):
    """The texts of a commit.

    Attributes:
        body: the commit in the log.
        announced: the commit as it is published; empty: as in the log.
        records: each record; empty: removed.
    """

    body: str
    announced: str
    records: dict[str, str]


class RecordTexts:
    """Converts records to text and back, and remembers the members that this version does not know.

    Attributes:
        invalid: hash, field and error of each value that could not be read at the last load.
    """

    def __init__(self) -> None:
        self.invalid: list[tuple[str, str, str]] = []
        self._unknown: dict[str, dict[str, Any]] = {}
        self._large: OrderedDict[str, tuple[dict[str, Any], Mapping[str, Signal]]] = OrderedDict()

    def members_of(self, scope: str, record: ScopeRecord, lost_commit: LostCommit | None) -> dict[str, Any]:
        """The members of ``record``."""
        members: dict[str, Any] = encode(record)
        if lost_commit is not None:
            members[_LOST_COMMIT] = [lost_commit.epoch, lost_commit.seq, lost_commit.is_original]
        unknown = self._unknown.get(scope)
        return with_unknown(members, unknown) if unknown else members

    def record_of(self, scope: str, members: dict[str, Any]) -> tuple[ScopeRecord, LostCommit | None]:
        """The record in ``members``, and whether it was written again."""
        found = members.pop(_LOST_COMMIT, None)
        lost_commit = None if found is None else LostCommit(*found)
        try:
            record = self._known_record(scope, members)
        except KeyError:
            unknown = unknown_members(ScopeRecord, members)
            record = decode(ScopeRecord, members)
        else:
            unknown = {}
        if unknown:
            self._unknown[scope] = unknown
        else:
            self._unknown.pop(scope, None)
        return record, lost_commit

    def _known_record(self, scope: str, members: dict[str, Any]) -> ScopeRecord:
        """The record in ``members``. Raises `KeyError` if there is an unknown member.

        If many sources report on one scope, each commit repeats their signals. Signals that have not changed
        since the last commit of the scope are not converted again.
        """
        texts = members.get("signals", {})
        if len(texts) < _MANY_SIGNALS:
            return decode_known(ScopeRecord, members)
        last_texts, last = self._large.pop(scope, ({}, {}))
        signals = {
            source: last[source] if last_texts.get(source) == one else decode_known(Signal, one)
            for source, one in texts.items()
        }
        rest = {name: one for name, one in members.items() if name != "signals"}
        record = replace(decode_known(ScopeRecord, rest), signals=signals)
        self._large[scope] = texts, signals
        if len(self._large) > _MOST_LARGE:
            self._large.popitem(last=False)
        return record

    # -- a commit ----------------------------------------------------------------------------------

    def texts_of(self, batch: Batch) -> CommitTexts:
        """The texts of the commit of ``batch``."""
        texts = {
            scope: ""
            if record is None
            else to_text(self.members_of(scope, record, batch.restored.get(scope)))
            for scope, record in batch.records.items()
        }
        rest: dict[str, Any] = {
            "at": batch.at,
            **({"quiet": True} if batch.is_quiet else {}),
            "tombstones": {source: one and encode(one) for source, one in batch.tombstones.items()},
            "sources": dict(batch.sources),
        }
        if batch.ended:
            rest["ended"] = batch.ended
        if batch.seen_watchdog is not None:
            rest["seen_watchdog"] = batch.seen_watchdog
        head = to_text(rest)[:-1]
        patches = {
            scope: to_text(encode(patch.record) | {_PATCH: [patch.base, patch.ended]})
            for scope, patch in batch.patches.items()
            if scope not in self._unknown
        }
        announced = _with_records(head, texts | patches) if patches else ""
        # Each record is converted once. Its text is part of the commit, too.
        return CommitTexts(_with_records(head, texts), announced, texts)

    def change_of(self, position: Position, body: str | bytes) -> Change:
        """The commit whose text in the log is ``body``."""
        # Decode first: with bytes, `json.loads` would have to detect the encoding.
        members = json.loads(body.decode() if isinstance(body, bytes) else body)
        records: dict[str, ScopeRecord | None] = {}
        restored, patches = {}, {}
        for scope, one in members["records"].items():
            if one is None:
                records[scope] = None
                continue
            if _PATCH in one:
                patches[scope] = self._patch_of(scope, one)
                records[scope] = patches[scope].record
                continue
            records[scope], lost_commit = self.record_of(scope, one)
            if lost_commit is not None:
                restored[scope] = lost_commit
        return Change(
            position,
            records,
            {source: one and decode(Tombstone, one) for source, one in members["tombstones"].items()},
            members["sources"],
            tuple((scope, source) for scope, source in members.get("ended", ())),
            members["at"],
            members.get("seen_watchdog"),
            restored,
            patches,
        )

    def _patch_of(self, scope: str, members: dict[str, Any]) -> RecordPatch:
        """The patch in ``members``. Raises `KeyError` if an unknown member would be lost."""
        if scope in self._unknown:
            raise KeyError(scope)
        base, ended = members.pop(_PATCH)
        return RecordPatch(int(base), decode_known(ScopeRecord, members), tuple(ended))

    # -- the whole state ---------------------------------------------------------------------------

    def state_of(self, texts: Sequence[bytes]) -> StoredState:
        """The state in the texts of `scripts.LOAD`. Fields that are not valid are left out."""
        meta, scopes, sources, tombstones, tokens = (_pairs(text) for text in texts)
        self.invalid = []
        records, versions, restored = {}, {}, {}
        for scope, text in scopes.items():
            versions[scope] = _version_of(text)
            try:
                record, lost_commit = self.record_of(scope, json.loads(text.partition(" ")[2]))
            except _NOT_VALID as error:
                self.invalid.append(("scopes", scope, f"{type(error).__name__}: {error}"))
                continue
            records[scope] = record
            if lost_commit is not None:
                restored[scope] = lost_commit
        seq = int(meta.get("seq", 0))
        token_by_seq = {int(number): token for number, token in tokens.items()}
        return StoredState(
            records,
            self._valid("tombstones", tombstones, lambda text: decode(Tombstone, json.loads(text))),
            last_written_at=self._valid("meta", meta, float, only="written_at").get("written_at"),
            seen_watchdog=meta.get("watchdog", ""),
            position=Position(meta["epoch"], seq, token_by_seq.get(seq, "")),
            versions=Versions(versions, {source: _version_of(text) for source, text in sources.items()}),
            restored=restored,
            tokens=token_by_seq,
            unreadable=frozenset(scope for key, scope, _ in self.invalid if key == "scopes"),
        )

    def _valid(
        self, key: str, texts: Mapping[str, str], convert: Callable[[str], _T], only: str = ""
    ) -> dict[str, _T]:
        """The valid values of the hash ``key``, or of its field ``only``, converted."""
        found = {}
        for field, text in texts.items():
            if only in ("", field):
                try:
                    found[field] = convert(text)
                except _NOT_VALID as error:
                    self.invalid.append((key, field, f"{type(error).__name__}: {error}"))
        return found


def _with_records(head: str, records: Mapping[str, str]) -> str:
    """The text that begins with ``head``, and has the texts of ``records``."""
    texts = ",".join(f"{json.dumps(scope)}:{text or 'null'}" for scope, text in records.items())
    return f'{head},"records":{{{texts}}}}}'


def entry_texts(batch: Batch) -> list[str]:
    """The texts of the history entries of ``batch``."""
    return [to_text(encode(entry)) for entry in entries_of(batch.events)]


def entry_text(entry: HistoryEntry) -> str:
    """The text of ``entry``, without its id."""
    return to_text(encode(replace(entry, id=0)))


def entry_of(number: int, text: bytes) -> HistoryEntry:
    """The history entry in ``text``, with ``number`` as its id."""
    return replace(decode(HistoryEntry, json.loads(text)), id=number)


def to_text(members: Mapping[str, Any]) -> str:
    """``members`` as compact JSON, in ASCII and without line breaks."""
    return json.dumps(members, separators=(",", ":"))


def _version_of(text: str) -> int:
    """The version at the beginning of ``text``, as `scripts.COMMIT` reads it; 0: there is none."""
    digits = _DIGITS.match(text)
    return int(digits[0]) if digits else 0


def _pairs(text: bytes) -> dict[str, str]:
    lines = text.decode("ascii", "replace").split("\n") if text else []
    pairs = dict(zip(lines[::2], lines[1::2], strict=True))
    pairs.pop(EPOCH_FIELD, None)
    return pairs
