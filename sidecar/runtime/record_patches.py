"""Patches: a commit announces only the changes of a record with many signals.

If a hundred sidecars change one scope, each commit changes one of a hundred signals, and every sidecar reads
every commit. A patch says on which version of the record it is based. A sidecar that has another version, or
that has merged the record with a record that the store lost, reads the whole record from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from sidecar.core.values import ScopeRecord
from sidecar.store import Change, LostCommit, RecordPatch

MANY_SIGNALS = 8
"""A record with fewer signals is announced whole."""


def patches_of(
    before: Mapping[str, ScopeRecord],
    records: Mapping[str, ScopeRecord | None],
    versions: Mapping[str, int],
    *,
    owed: Container[str],
    restored: Mapping[str, LostCommit],
) -> dict[str, RecordPatch]:
    """The patches for the ``records`` that have many signals, most of them unchanged.

    Args:
        before: the records before the commit.
        records: the records that it changes.
        versions: the versions of the records before the commit.
        owed: scopes whose record the store does not have.
        restored: scopes whose record is written again.
    """
    patches = {}
    for scope, record in records.items():
        old = before.get(scope)
        if record is None or old is None or len(old.signals) < MANY_SIGNALS:
            continue
        if scope in owed or scope in restored or not versions.get(scope):
            continue
        signals = old.signals
        changed = {source: one for source, one in record.signals.items() if signals.get(source) is not one}
        ended = tuple(source for source in signals if source not in record.signals)
        if 2 * (len(changed) + len(ended)) <= len(signals):
            patches[scope] = RecordPatch(versions[scope], replace(record, signals=changed), ended)
    return patches


def complete(
    change: Change, base_of: Callable[[str], tuple[int, ScopeRecord | None]], owed: Container[str]
) -> Change | None:
    """``change`` with whole records; None: it has a patch that does not fit.

    Args:
        change: what was announced.
        base_of: the version and the record of a scope before the change.
        owed: scopes whose local record differs from the record in the store.
    """
    if not change.patches:
        return change
    records = dict(change.records)
    for scope, patch in change.patches.items():
        version, record = base_of(scope)
        if record is None or version != patch.base or scope in owed:
            return None
        signals = {**record.signals, **patch.record.signals}
        for source in patch.ended:
            signals.pop(source, None)
        records[scope] = replace(patch.record, signals=signals)
    return replace(change, records=records)
