"""``state``: report an agent's own state."""

from __future__ import annotations

import argparse
from typing import Any

from .asking import ask
from .exit_statuses import OK
from .names import note_unknown
from .output import show
from .pause import check_breadth


def run(options: argparse.Namespace) -> int:
    """Put or renew the agent's signal."""
    check_breadth(options, "state", "report the state of everything")
    note_unknown(options, "it is known from now on")
    body: dict[str, Any] = {"state": options.state, "reason": options.reason}
    if options.source is not None:
        body["source"] = options.source
    if options.ttl_secs is not None:
        body["ttl_secs"] = options.ttl_secs
    show(ask(options, "PUT", "state", body=body), as_json=options.json)
    return OK
