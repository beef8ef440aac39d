"""When the record of a scope changes by time alone."""

from __future__ import annotations

from .policy import Policy
from .values import Hold, ScopeRecord


def can_recover(hold: Hold, policy: Policy) -> bool:
    """Whether a recovery lifts the auto ``hold``."""
    return not hold.failed_trials and (policy.resume == "auto" or hold.advised is not None)


def next_deadline(record: ScopeRecord, policy: Policy, now: float) -> float | None:
    """When ``record`` changes by time alone, seconds since the epoch; None: never."""
    due = [signal.expires_at for signal in record.signals.values() if signal.expires_at is not None]
    due += [hold.until for hold in (record.auto, record.manual) if hold and hold.until is not None]
    if record.trial:
        due.append(record.trial.until)
    if record.auto and policy.has_time_intervals:
        # Time intervals begin and end with a minute.
        due.append((now // 60.0 + 1.0) * 60.0)
    if record.auto and record.episode is None and can_recover(record.auto, policy):
        due.append(record.auto.since + policy.min_pause_secs)
    return min(due, default=None)
