"""``/v1/reports``: parses the request body."""

from __future__ import annotations

from dataclasses import fields

from sidecar.gates.client_reports import ClientReport, ReportedCounts, ReportedTrial, ReportedWaits
from sidecar.web.problems import Problem

from .bodies import Body

_COUNTS = tuple(field.name for field in fields(ReportedCounts))
_MEMBERS = ("client", "sequence", "interval_secs", "acknowledged", "waits", "trial")
_OUTCOMES = ("waited", "timed_out", "abandoned")
_DEFAULT_INTERVAL_SECS = 10.0
_MAX_INTERVAL_SECS = 3600.0


def report_of(data: bytes) -> ClientReport:
    """Parse the report ``data``.

    Raises:
        Problem: it is not a report.
        InvalidReport: its counts contradict each other.
    """
    body = Body.parse(data, (*_MEMBERS, *_COUNTS))
    body.required("client")
    interval = body.seconds("interval_secs", positive=True) or _DEFAULT_INTERVAL_SECS
    if interval > _MAX_INTERVAL_SECS:
        raise Problem("invalid-body", f"interval_secs: must be at most {_MAX_INTERVAL_SECS:g}")
    return ClientReport(
        client=body.name("client", ""),
        sequence=body.count("sequence"),
        interval_secs=interval,
        counts=_counts(body),
        acknowledged=_counts(body.nested("acknowledged", _COUNTS)),
        waits=_waits(body),
        trial=_trial(body.nested("trial", ("id", "succeeded", "failed"))),
    )


def _waits(body: Body) -> dict[str, ReportedWaits]:
    reported = body.nested("waits", _OUTCOMES)
    waits = {}
    for outcome in _OUTCOMES:
        one = reported.nested(outcome, ("counts", "secs"))
        counts, secs = one.counts("counts"), one.seconds("secs")
        if counts is not None:
            waits[outcome] = ReportedWaits(counts, secs or 0.0)
    return waits


def _trial(body: Body) -> ReportedTrial:
    return ReportedTrial(body.text("id", ""), body.count("succeeded", 0), body.count("failed", 0))


def _counts(body: Body) -> ReportedCounts:
    return ReportedCounts(**{name: body.count(name, 0) for name in _COUNTS})
