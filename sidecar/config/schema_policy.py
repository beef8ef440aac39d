"""The schema of policies: how a scope is paused."""

from __future__ import annotations

from sidecar.core.policy import DENY_STATUSES, Policy

from .checks import (
    boolean,
    natural,
    one_number_of,
    one_of,
    positive_seconds,
    rate,
    seconds,
    share,
    texts,
)
from .checks_rules import restrict
from .keys import Key, Keys, Section

_POLICY = Policy()
POLICY_KEYS: Keys = {
    "enabled": Key(
        boolean,
        "boolean",
        _POLICY.enabled,
        "false: signals are ignored, and the gate is open even if there are holds",
    ),
    "dry_run": Key(
        boolean,
        "boolean",
        _POLICY.dry_run,
        "true: holds that would close the gate are only advised; metrics, status and history show them",
    ),
    "pause_on_distressed": Key(
        boolean,
        "boolean",
        _POLICY.pause_on_distressed,
        "a distressed own state closes the gate; false: it is advised",
    ),
    "pause_on_concerned": Key(
        boolean,
        "boolean",
        _POLICY.pause_on_concerned,
        "a concerned or distressed own state closes the gate",
    ),
    "max_pause_secs": Key(seconds, "duration", _POLICY.max_pause_secs, "a hold ends after this; 0: never"),
    "wait_timeout_secs": Key(
        seconds,
        "duration",
        _POLICY.wait_timeout_secs,
        "default and maximum time that a gate request waits",
    ),
    "min_pause_secs": Key(
        seconds,
        "duration",
        _POLICY.min_pause_secs,
        "minimum duration of an auto hold; 0: it ends on recovery",
    ),
    "resume_ramp_per_sec": Key(
        rate,
        "number",
        _POLICY.resume_ramp_per_sec,
        "waiting requests admitted per second after a resume; 0: all at once",
    ),
    "restrict": Key(
        restrict,
        "mapping",
        {},
        "requests per second that are admitted in each own state, if nothing closes the gate: a mapping of "
        "cautious, concerned and distressed to numbers above 0. A state without a number has the number of "
        "the next better state",
    ),
    "resume_trial": Section(
        {
            "requests": Key(
                natural,
                "number",
                _POLICY.resume_trial.requests,
                "number of requests that are admitted first after a recovery; if one fails, the scope is "
                "paused again; 0: no trial",
            ),
            "secs": Key(
                positive_seconds,
                "duration",
                _POLICY.resume_trial.secs,
                "the gate opens after this time without a failure; after a failure the next trial begins "
                "after this time, which doubles with each further failure, up to max_pause_secs",
            ),
        }
    ),
    "max_paused_share": Key(
        share,
        "number",
        _POLICY.max_paused_share,
        "maximum share of the scopes directly inside that policies pause at a time (rounded up, at least "
        "one); further pauses are only advised; 0: no maximum",
    ),
    "resume": Key(
        one_of("auto", "manual"),
        "word",
        _POLICY.resume,
        "manual: only an operator lifts the policy's pause, a recovery does not",
    ),
    "mute_time_intervals": Key(
        texts, "list of names", (), "in these time_intervals the policy's pauses are only advised"
    ),
    "active_time_intervals": Key(
        texts, "list of names", (), "outside these time_intervals the policy's pauses are only advised"
    ),
    "deny_status": Key(
        one_number_of(*DENY_STATUSES),
        "number",
        _POLICY.deny_status,
        "HTTP status of a refusal at a closed gate, for proxies: 401, 403, 429 or 503",
    ),
}
