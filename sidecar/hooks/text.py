"""Sentences about events, for people."""

from __future__ import annotations

from sidecar.clock import rfc3339

from .events import HookEvent

_TITLES = {
    "pause": "{scope} is paused",
    "resume": "{scope} is resumed",
    "advice": "{scope} would be paused",
    "advice_ended": "{scope} would be resumed",
    "intervention": "{scope} is {new}, was {old}",
    "blind": "The sidecar is blind: alerting is down",
    "sighted": "The sidecar is no longer blind",
    "trial_failed": "{scope} is paused again: its trial failed",
    "store_down": "The sidecar cannot write its store",
    "store_up": "The sidecar can write its store again",
}
_CAUSES = {
    "auto": "by the policy",
    "trial_failed": "its trial failed",
    "recovered": "it recovered",
    "max_pause": "its longest pause is over",
    "expired": "its signals expired",
    "policy": "the policy no longer pauses it",
}


def title_of(event: HookEvent) -> str:
    """One line: what happened, and to which scope."""
    entry = event.entry
    title = _TITLES[event.name].format(scope=entry.scope or "Everything (root)", new=entry.new, old=entry.old)
    return f"[test] {title}" if event.test else title


def details_of(event: HookEvent) -> list[tuple[str, str]]:
    """Labels and values: the reason, the source, the end."""
    entry = event.entry
    source = f"{entry.alertname} ({entry.source})" if entry.alertname else entry.source
    cause = _CAUSES.get(entry.cause, entry.cause)
    if entry.cause == "manual":
        # The name of the credential is more specific than the word operator.
        source, cause = entry.actor or source, ""
    details = [
        ("Reason", entry.reason),
        ("Scope", entry.scope or "(root)"),
        ("By", ", ".join(filter(None, (source, cause)))),
    ]
    if event.name in ("pause", "advice", "trial_failed"):
        details.append(("Until", "an operator resumes" if entry.until is None else rfc3339(entry.until)))
    return [(label, _printable(value)) for label, value in details if value]


def _printable(text: str) -> str:
    """``text`` on one line, without control characters and characters that change the text direction."""
    return "".join(one if one.isprintable() else " " for one in text)
