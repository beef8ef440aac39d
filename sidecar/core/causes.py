"""Causes of changes that no client asked for, as the history shows them."""

from __future__ import annotations

from typing import NamedTuple

from .values import Signal

TIME = "time"
POLICY = "policy"
TRIAL = "trial"


class Cause(NamedTuple):
    """The source of a change, and its reason."""

    source: str
    reason: str
    alertname: str = ""


RECOVERED = Cause(TIME, "recovered")
NEXT_TRIAL = Cause(TIME, "the next trial begins")
PAUSES_NOW = Cause(POLICY, "the policy pauses now: the advice becomes a pause")
ADVISES_NOW = Cause(POLICY, "the policy only observes now")
MAY_PAUSE_NOW = Cause(POLICY, "max_paused_share admits a pause now: the advice becomes a pause")


def cause_of(signal: Signal) -> Cause:
    """``signal`` as the cause of a change."""
    return Cause(signal.source, signal.reason, signal.alertname)
