"""Records, commits and history entries as text in Redis, and back.

`SCHEMA` is the major number: a store with another number is read, but not written. Within a major number
members may be added; a sidecar that does not know them writes them back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.core.values import ScopeRecord, Tombstone
from sidecar.store.base import Batch, Change, Offer, Position, StoredState, Versions
from sidecar.store.entries import HistoryEntry, entries_of
from sidecar.store.json_values import decode, encode, unknown_members, with_unknown

SCHEMA = "1"
_OFFER = "offer"


class RecordTexts:
    """Converts records to text and back, and remembers the members that this version does not know."""

    def __init__(self) -> None:
        self._unknown: dict[str, dict[str, Any]] = {}

    def members_of(self, scope: str, record: ScopeRecord, offer: Offer | None) -> dict[str, Any]:
        """The members of ``record``."""
        members: dict[str, Any] = encode(record)
        if offer is not None:
            members[_OFFER] = [offer.epoch, offer.seq, offer.is_original]
        unknown = self._unknown.get(scope)
        return with_unknown(members, unknown) if unknown else members

    def record_of(self, scope: str, members: dict[str, Any]) -> tuple[ScopeRecord, Offer | None]:
        """The record in ``members``, and whether it was written again."""
        offer = members.pop(_OFFER, None)
        unknown = unknown_members(ScopeRecord, members)
        if unknown:
            self._unknown[scope] = unknown
        else:
            self._unknown.pop(scope, None)
        return decode(ScopeRecord, members), None if offer is None else Offer(*offer)

    # -- a commit ----------------------------------------------------------------------------------

    def body_of(self, batch: Batch) -> tuple[str, dict[str, str]]:
        """The text of the commit in the log, and the text of each record; empty: removed."""
        records = {
            scope: None if record is None else self.members_of(scope, record, batch.offers.get(scope))
            for scope, record in batch.records.items()
        }
        body: dict[str, Any] = {
            "at": batch.at,
            "records": records,
            "tombstones": {source: one and encode(one) for source, one in batch.tombstones.items()},
            "sources": dict(batch.sources),
        }
        if batch.ended:
            body["ended"] = batch.ended
        if batch.seen_watchdog is not None:
            body["seen_watchdog"] = batch.seen_watchdog
        texts = {scope: "" if one is None else to_text(one) for scope, one in records.items()}
        return to_text(body), texts

    def change_of(self, position: Position, body: str | bytes) -> Change:
        """The commit whose text in the log is ``body``."""
        members = json.loads(body)
        records: dict[str, ScopeRecord | None] = {}
        offers = {}
        for scope, one in members["records"].items():
            if one is None:
                records[scope] = None
                continue
            records[scope], offer = self.record_of(scope, one)
            if offer is not None:
                offers[scope] = offer
        return Change(
            position,
            records,
            {source: one and decode(Tombstone, one) for source, one in members["tombstones"].items()},
            members["sources"],
            tuple((scope, source) for scope, source in members.get("ended", ())),
            members["at"],
            members.get("seen_watchdog"),
            offers,
        )

    # -- the whole state ---------------------------------------------------------------------------

    def state_of(self, texts: Sequence[bytes]) -> StoredState:
        """The state in the texts of `scripts.LOAD`."""
        meta, scopes, sources, tombstones, tokens = (_pairs(text) for text in texts)
        records, versions, offers = {}, {}, {}
        for scope, text in scopes.items():
            version, _, members = text.partition(" ")
            records[scope], offer = self.record_of(scope, json.loads(members))
            versions[scope] = int(version)
            if offer is not None:
                offers[scope] = offer
        seq = int(meta.get("seq", 0))
        token_by_seq = {int(number): token for number, token in tokens.items()}
        written_at = meta.get("written_at")
        return StoredState(
            records,
            {source: decode(Tombstone, json.loads(text)) for source, text in tombstones.items()},
            last_written_at=None if written_at is None else float(written_at),
            seen_watchdog=meta.get("watchdog", ""),
            position=Position(meta["epoch"], seq, token_by_seq.get(seq, "")),
            versions=Versions(versions, {source: int(number) for source, number in sources.items()}),
            offers=offers,
            tokens=token_by_seq,
        )


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


def _pairs(text: bytes) -> dict[str, str]:
    lines = text.decode("ascii").split("\n") if text else []
    return dict(zip(lines[::2], lines[1::2], strict=True))
