"""``state``: reports an agent's own state."""

from __future__ import annotations

import argparse
from typing import Any

from .exit_statuses import OK
from .output import print_snapshot
from .pause import check_target
from .scope_check import note_unknown_scope
from .sidecar_requests import request


def run(options: argparse.Namespace) -> int:
    """Set or renew the agent's signal."""
    check_target(options, "state", "report the state of everything")
    note_unknown_scope(options, "it becomes known now")
    body: dict[str, Any] = {"state": options.state, "reason": options.reason}
    if options.source is not None:
        body["source"] = options.source
    if options.ttl_secs is not None:
        body["ttl_secs"] = options.ttl_secs
    print_snapshot(request(options, "PUT", "state", body=body), output=options.output)
    return OK
