"""``gate``: blocks until the gate is open."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from .arguments import duration
from .client_arguments import add_request_arguments
from .exit_statuses import OK, TEMPFAIL, CommandFailed
from .output import print_error, print_snapshot, print_value
from .sidecar_requests import PAUSED, is_problem, members, refusal, send

if TYPE_CHECKING:
    from sidecar.client.connection import SidecarResponse

_LONGEST_SECS = 86_400.0
_LEAST_SECS = 0.5
"""A remaining wait shorter than this is not worth another request. Longer waits send requests at this
interval."""
_OK, _UNAVAILABLE = 200, 503

EXAMPLES = ("gate team-a/llama --wait 5m && start-the-batch",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_request_arguments(parser)
    parser.add_argument(
        "--wait",
        type=duration,
        metavar="DURATION",
        help="the longest wait, such as 90 or 5m (default: wait_timeout_secs of the policy)",
    )


def run(options: argparse.Namespace) -> int:
    """Wait. Returns 75 if the wait timed out or the request was rejected."""
    # Only the sidecar knows the default wait.
    requests, answer = _wait(options, options.wait) if options.wait else (1, _ask(options, options.wait))
    if answer.status == _OK:
        print_snapshot(members(options, answer), output=options.output)
        return OK
    if is_problem(answer) and (answer.status == _UNAVAILABLE or answer.body["type"] in PAUSED):
        if options.output != "table":
            print_value(answer.body, options.output)
        else:
            total = f"; {options.wait:g}s in all" if requests > 1 else ""
            print_error(refusal(options, answer) + total)
        return TEMPFAIL
    raise CommandFailed(refusal(options, answer))


def _wait(options: argparse.Namespace, secs: float) -> tuple[int, SidecarResponse]:
    """The number of requests and the last response, after at most ``secs``.

    The sidecar's policy limits the wait of one request, so the request is repeated until the time is over.
    """
    end = time.monotonic() + secs
    requests = 0
    while True:
        requests += 1
        asked = time.monotonic()
        answer = _ask(options, min(end - asked, _LONGEST_SECS))
        now = time.monotonic()
        if not _is_paused(answer) or end - now < _LEAST_SECS:
            return requests, answer
        time.sleep(max(0.0, asked + _LEAST_SECS - now))


def _ask(options: argparse.Namespace, wait: float | None) -> SidecarResponse:
    params = {} if wait is None else {"wait": round(wait, 3)}
    return send(options, "GET", "gate", params=params, wait=_LONGEST_SECS if wait is None else wait)


def _is_paused(answer: SidecarResponse) -> bool:
    return is_problem(answer) and answer.body["type"] == "/problems/inference-paused"
