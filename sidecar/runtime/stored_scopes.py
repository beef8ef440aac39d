"""Drops stored scopes whose names are no longer valid."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sidecar.core.errors import InvalidScope
from sidecar.core.scope import parse_scope
from sidecar.core.values import ScopeRecord

logger = logging.getLogger(__name__)


def valid_records(records: Mapping[str, ScopeRecord]) -> dict[str, ScopeRecord]:
    """``records`` without invalid scopes. Each dropped scope is logged with its holds."""
    valid = {}
    for scope, record in records.items():
        try:
            parse_scope(scope)
        except InvalidScope as error:
            _log_dropped(scope, record, error)
        else:
            valid[scope] = record
    return valid


def _log_dropped(scope: str, record: ScopeRecord, error: InvalidScope) -> None:
    fields: dict[str, object] = {"scope": scope, "error": str(error), "signals": sorted(record.signals)}
    for hold in (record.manual, record.auto):
        if hold is not None:
            fields[f"{hold.kind.value}_hold"] = f"{hold.reason} (by {hold.by})"
    logger.error("scope_dropped", extra={"fields": fields})
