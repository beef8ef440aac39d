"""``/v1/admit``: a client that holds waiters asks how many of them may pass."""

from __future__ import annotations

import re

from sidecar.core.errors import short_repr
from sidecar.gates.admission_control import ClientDemand
from sidecar.gates.priorities import PRIORITIES
from sidecar.web.gate.requests import ADMIT, parse_parameters, scope_of, seconds_of
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, json_response

_WAIT_SECS = 20.0
_CLIENT = re.compile(r"[A-Za-z0-9._:~/@+-]{1,128}", re.ASCII)
_WAITING = re.compile(r"[0-9]:[1-9][0-9]{0,4}(,[0-9]:[1-9][0-9]{0,4}){0,9}", re.ASCII)


class AdmitRequest:
    """A parsed request.

    Attributes:
        scope: the scope of the client.
        client: the client's id, as in its reports.
        waiting: how many requests wait, by priority.
        wait: seconds to wait at most for a first token.

    Raises:
        Problem: a parameter is missing or not valid.
    """

    def __init__(self, path: str, query: str) -> None:
        self.scope = scope_of(path, ADMIT)
        parameters = parse_parameters(query)
        self.client = parameters.get("client", "")
        if not _CLIENT.fullmatch(self.client):
            wanted = "1 to 128 of A-Z a-z 0-9 . _ : ~ / @ + -"
            raise Problem("invalid-parameter", f"client: must be {wanted}, got {short_repr(self.client)}")
        self.waiting = _waiting(parameters.get("waiting", ""))
        secs = seconds_of(parameters.get("wait"))
        self.wait = _WAIT_SECS if secs is None else min(secs, _WAIT_SECS)


def admit_response(demand: ClientDemand) -> HttpResponse:
    """How many requests the client may admit now."""
    return json_response(
        {
            "admitted": demand.granted,
            "share_per_sec": round(demand.share, 3),
            "trial": demand.trial or None,
        }
    )


def _waiting(text: str) -> list[int]:
    if not _WAITING.fullmatch(text):
        raise Problem(
            "invalid-parameter",
            "waiting: must be waiting requests by priority, 1 to 99999 for each, such as 5:12,9:1, "
            f"got {short_repr(text)}",
        )
    waiting = [0] * PRIORITIES
    for one in text.split(","):
        priority, _, count = one.partition(":")
        waiting[int(priority)] += int(count)
    return waiting
