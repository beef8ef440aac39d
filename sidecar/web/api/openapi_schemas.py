"""The schemas of the OpenAPI document: request bodies and responses."""

from __future__ import annotations

from typing import Any

from sidecar.core.commands import AlertOutcome
from sidecar.core.state import WellbeingState
from sidecar.core.values import AdviceCause
from sidecar.gates.counters import WAIT_BOUNDS

from .unwell import MAX_UNWELL

Json = dict[str, Any]

WAITS = ("waited", "timed_out", "abandoned")
"""The wait outcomes that clients report."""

_TEXT: Json = {"type": "string"}
_TIME: Json = {"type": "string", "format": "date-time"}
_FLAG: Json = {"type": "boolean"}
_NAME: Json = {"type": "string", "pattern": "^[A-Za-z0-9._:~/@+-]{1,128}$"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_NUMBER: Json = {"type": "integer"}
_SECONDS: Json = {"type": "number", "minimum": 0, "maximum": 1e9}
_ALWAYS_ADVISED = ["reason", "since", "until"]
_STATE: Json = {"enum": [state.label for state in WellbeingState]}


def schemas() -> Json:
    """All schemas, by name."""
    status = _status()
    return {
        "Problem": {
            **_object({"type": _TEXT, "title": _TEXT, "status": _NUMBER, "detail": _TEXT}),
            "additionalProperties": True,
        },
        "GateSnapshot": _object(_snapshot()),
        "Status": _object(
            {**status, **_status_of_sidecar(status), **_status_below(status)},
            required=[*status, *_status_of_sidecar(status)],
        ),
        "History": _object({"entries": _list(_object(_history_entry())), "next_cursor": _or_null(_TEXT)}),
        "Accepted": _object({"accepted": _FLAG}),
        "AlertCounts": _object(
            {"alerts": _object(dict.fromkeys((one.value for one in AlertOutcome), _COUNT))}
        ),
        "Explanation": _object({"dry_run": {"const": True}, "alerts": _list(_explained())}),
        "Notification": _notification(),
        **_commands(),
        **_clients(),
    }


# -- status and history -------------------------------------------------------------------------------


def _advice() -> Json:
    return {"reason": _TEXT, "since": _TIME, "until": _or_null(_TIME), "admit_per_sec": {"type": "number"}}


def _snapshot() -> Json:
    return {
        "scope": _TEXT,
        "gate": {"enum": ["open", "restricted", "closed"]},
        "state": _STATE,
        "effective_state": _STATE,
        "reason": _or_null(_TEXT),
        "since": _or_null(_TIME),
        "until": _or_null(_TIME),
        "held_by": _or_null(_TEXT),
        "admit_per_sec": _or_null({"type": "number", "exclusiveMinimum": 0}),
        "advice": _or_null(_object(_advice(), _ALWAYS_ADVISED)),
        "version": _COUNT,
    }


def _status() -> Json:
    """The members of one scope's status."""
    advice = {
        **_advice(),
        "advised_by": _TEXT,
        "why": {"enum": [one.value for one in AdviceCause]},
        "by": _TEXT,
        "alertname": _or_null(_TEXT),
    }
    trial = {"requests": _COUNT, "since": _TIME, "until": _TIME, "reason": _TEXT}
    suppressed = {
        "since": _TIME,
        "ended_at": _or_null(_TIME),
        "cause": _or_null(_TEXT),
        "advised": _FLAG,
        "text": _TEXT,
    }
    return {
        **_snapshot(),
        "signals": _list(_object(_signal())),
        "trial": _or_null(_object(trial)),
        "advice": _or_null(_object(advice, [*_ALWAYS_ADVISED, "advised_by", "why", "by", "alertname"])),
        "holds": _list(_object(_hold())),
        "suppressed": _or_null(_object(suppressed)),
        "counters": {"type": "object", "additionalProperties": {"type": "number"}},
    }


def _signal() -> Json:
    return {
        "source": _TEXT,
        "alertname": _or_null(_TEXT),
        "state": _STATE,
        "reason": _TEXT,
        "since": _TIME,
        "expires_at": _or_null(_TIME),
        "ended_at": _or_null(_TIME),
    }


def _hold() -> Json:
    return {
        "kind": {"enum": ["auto", "manual"]},
        "cause": {"enum": ["auto", "manual", "trial_failed"]},
        "reason": _TEXT,
        "since": _TIME,
        "until": _or_null(_TIME),
        "by": _TEXT,
        "alertname": _or_null(_TEXT),
        "waits_for_operator": _FLAG,
    }


def _status_of_sidecar(status: Json) -> Json:
    """The members that a status has in addition, about the whole sidecar."""
    fleet = {
        "sidecar": _TEXT,
        "leader": _or_null(_TEXT),
        "term": _NUMBER,
        "store_up": _FLAG,
        "applied_commit": _NUMBER,
        "known_commit": _NUMBER,
        "lag_secs": {"type": "number"},
        "from_last_known": _FLAG,
        "owed_records": _NUMBER,
    }
    left_paused = {
        "engine": _TEXT,
        "scope": _TEXT,
        "url": _TEXT,
        "since": _TIME,
        "error": _or_null(_TEXT),
        "remedy": _TEXT,
    }
    return {
        "blind": _FLAG,
        "watchdog": _or_null(_object({"alertname": _TEXT, "heard": _FLAG})),
        "fleet": _or_null(_object(fleet)),
        "unwell": {**_list(_object(status)), "maxItems": MAX_UNWELL},
        "unwell_total": _COUNT,
        "closed_total": _COUNT,
        "engines_left_paused": _list(_object(left_paused)),
    }


def _status_below(status: Json) -> Json:
    """The members that only some statuses have."""
    return {"follows": _TEXT, "nearest": _or_null(_TEXT), "below": _list(_object(status))}


def _history_entry() -> Json:
    return {
        "id": _COUNT,
        "at": _TIME,
        "scope": _TEXT,
        "kind": _TEXT,
        "from": _TEXT,
        "to": _TEXT,
        "source": _TEXT,
        "alertname": _or_null(_TEXT),
        "reason": _TEXT,
        "cause": _or_null(_TEXT),
        "until": _or_null(_TIME),
        "actor": _or_null(_TEXT),
    }


# -- commands -----------------------------------------------------------------------------------------


def _commands() -> Json:
    claim = {
        "state": _STATE,
        "reason": _or_null(_TEXT),
        "source": _or_null(_NAME),
        "ttl_secs": _or_null({**_SECONDS, "exclusiveMinimum": 0}),
    }
    pause = {"reason": {"type": "string", "pattern": "\\S"}, "max_pause_secs": _or_null(_SECONDS)}
    return {
        "ClaimState": _object(claim, required=["state"]),
        "Pause": _object(pause, required=["reason"]),
        "Resume": _object({"reason": _or_null(_TEXT)}, required=[]),
    }


# -- clients ------------------------------------------------------------------------------------------


def _clients() -> Json:
    counts = dict.fromkeys(
        ("requests", "blocked", "waited", "timed_out", "abandoned", "succeeded", "failed"), _COUNT
    )
    trial = {"id": _or_null(_TEXT), "succeeded": _COUNT, "failed": _COUNT}
    report = {
        "client": _NAME,
        "sequence": _COUNT,
        "interval_secs": _or_null({**_SECONDS, "exclusiveMinimum": 0, "maximum": 3600}),
        **counts,
        "acknowledged": _or_null(_object(counts, required=[])),
        "waits": _or_null(_object(dict.fromkeys(WAITS, _or_null(_waits())), required=[])),
        "trial": _or_null(_object(trial, required=[])),
    }
    admitted = {
        "admitted": _COUNT,
        "share_per_sec": {"type": "number", "minimum": 0},
        "trial": _or_null(_TEXT),
    }
    return {"Report": _object(report, required=["client", "sequence"]), "Admitted": _object(admitted)}


def _waits() -> Json:
    length = len(WAIT_BOUNDS) + 1
    counts = {"type": "array", "items": _COUNT, "minItems": length, "maxItems": length}
    return _object({"counts": _or_null(counts), "secs": _or_null(_SECONDS)}, required=[])


# -- alerts -------------------------------------------------------------------------------------------


def _explained() -> Json:
    """The dry run's explanation of one alert."""
    maybe = _or_null(_TEXT)
    failed = _object({"matcher": _TEXT, "label": _TEXT, "value": maybe})
    rule = {"rule": _TEXT, "at": maybe, "matched": _FLAG, "failed": _list(failed)}
    source = {
        "labels": _list(_object({"label": _TEXT, "value": maybe})),
        "missing": maybe,
        "cleaned": _list(_object({"value": _TEXT, "segment": _TEXT})),
        "problem": maybe,
    }
    policy = {
        "name": _TEXT, "match": maybe, "at": maybe, "acts_from": _or_null(_STATE),
        "pauses": _FLAG, "settings": {"type": "object"},
    }  # fmt: skip
    affects = {
        "scopes": _COUNT, "waiters": _COUNT, "requests_last_minute": _or_null(_COUNT), "names": _list(_TEXT),
    }  # fmt: skip
    return _object(
        {
            "fingerprint": _TEXT,
            "alertname": maybe,
            "status": {"enum": ["firing", "resolved"]},
            "rules": _list(_object({**rule, "label": _TEXT, "value": maybe}, required=list(rule))),
            "state": _or_null(_STATE),
            "reason": maybe,
            "scope": maybe,
            "scope_from": _or_null(_object(source)),
            "policy": _or_null(_object(policy)),
            "affects": _or_null(_object(affects)),
            "outcome": _TEXT,
            "effect": {
                "enum": [
                    "pauses",
                    "advises",
                    "resumes",
                    "ends_advice",
                    "restricts",
                    "ends_restriction",
                    "nothing",
                ]
            },
            "why": _TEXT,
            "text": _TEXT,
            "until": _or_null(_TIME),
        }
    )


def _notification() -> Json:
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    common = {
        "labels": labels,
        "annotations": _or_null(labels),
        "startsAt": _TIME,
        "fingerprint": {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"},
    }
    required = ["status", "labels", "startsAt", "fingerprint"]
    firing = _object({**common, "status": {"const": "firing"}}, required=required)
    ended = {**common, "status": {"const": "resolved"}, "endsAt": _TIME}
    resolved = _object(ended, required=[*required, "endsAt"])
    alert = {"oneOf": [{**one, "additionalProperties": True} for one in (firing, resolved)]}
    members = {
        "version": {"enum": ["4", "1"]},
        "receiver": _TEXT,
        "groupKey": _TEXT,
        "truncatedAlerts": _COUNT,
        "alerts": _list(alert),
    }
    return {**_object(members, required=["version", "alerts"]), "additionalProperties": True}


# -- building blocks ----------------------------------------------------------------------------------


def _object(properties: Json, required: list[str] | None = None) -> Json:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}
