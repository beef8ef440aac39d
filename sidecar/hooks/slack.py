"""Messages for Slack's incoming webhooks, and for other chats that accept them (Mattermost, Rocket.Chat)."""

from __future__ import annotations

import math

from sidecar.clock import rfc3339

from .events import HookEvent
from .text import details_of, title_of

_MAX_VALUE = 600
_MAX_TITLE = 200
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_EMOJI = {
    "pause": ":double_vertical_bar:",
    "resume": ":arrow_forward:",
    "advice": ":eyes:",
    "trial_failed": ":double_vertical_bar:",
    "blind": ":see_no_evil:",
    "store_down": ":warning:",
}


def slack_message(event: HookEvent, link: str) -> dict[str, object]:
    """The message about ``event``.

    Its ``text`` has all details, for notifications and for chats without blocks.

    Args:
        event: the event.
        link: URL of the page of its scope; empty: none.
    """
    details = [(label, _escaped(value, _MAX_VALUE)) for label, value in details_of(event)]
    title = f"{_EMOJI.get(event.name, '')} *{_escaped(title_of(event), _MAX_TITLE)}*".strip()
    target = f"<{_escaped(link, 3000)}|Open the sidecar's page>" if link else ""
    plain = [title, *(f"{label}: {value}" for label, value in details), target]
    lines = [f"*{label}:* {_local_time(event) if label == 'Until' else value}" for label, value in details]
    footer = " · ".join(filter(None, (target, rfc3339(event.entry.at))))
    return {
        "text": "\n".join(filter(None, plain)),
        "blocks": [
            {"type": "section", "text": _mrkdwn("\n".join([title, *lines]))},
            {"type": "context", "elements": [_mrkdwn(footer)]},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _mrkdwn(text: str) -> dict[str, object]:
    """A text object. Slack parses no names in it, such as @channel or #general."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _local_time(event: HookEvent) -> str:
    """The end of the pause in the reader's time zone."""
    until = event.entry.until
    if until is None:
        return "an operator resumes"
    return f"<!date^{math.ceil(until)}^{{date_short_pretty}} {{time_secs}}|{rfc3339(until)}>"


def _escaped(text: str, most: int) -> str:
    """``text``, escaped so that it contains no mentions and no disguised links.

    Args:
        text: the text.
        most: maximum length of the result. Slack refuses a message with a text that is too long.
    """
    escaped = [_ENTITIES.get(one, one) for one in text[: most + 1]]
    if sum(map(len, escaped)) <= most:
        return "".join(escaped)
    length = 1
    kept = []
    for one in escaped:
        length += len(one)
        if length > most:
            break
        kept.append(one)
    return "".join(kept) + "…"
