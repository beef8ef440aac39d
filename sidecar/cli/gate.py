"""``gate``: blocks until the gate is open."""

from __future__ import annotations

import argparse

from .exit_statuses import OK, TEMPFAIL, CommandFailed
from .output import print_error, print_json, print_snapshot
from .sidecar_requests import is_problem, members, refusal, send

_LONGEST_SECS = 86_400.0
_OK, _UNAVAILABLE = 200, 503


def run(options: argparse.Namespace) -> int:
    """Wait; return 75 if the wait timed out or the request was rejected."""
    params = {} if options.wait is None else {"wait": options.wait}
    # Only the sidecar knows the default wait.
    longest = _LONGEST_SECS if options.wait is None else options.wait
    answer = send(options, "GET", "gate", params=params, wait=longest)
    if answer.status == _OK:
        print_snapshot(members(options, answer), as_json=options.json)
        return OK
    if answer.status == _UNAVAILABLE and is_problem(answer):
        if options.json:
            print_json(answer.body)
        else:
            print_error(refusal(options, answer))
        return TEMPFAIL
    raise CommandFailed(refusal(options, answer))
