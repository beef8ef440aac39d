"""Messages for Slack's incoming webhooks, and for other chats that accept them (Mattermost, Rocket.Chat)."""

from __future__ import annotations

import math

from sidecar.clock import rfc3339

from .events import HookEvent
from .text import details_of, title_of

_MAX_VALUE = 600
_MAX_TITLE = 200
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
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "\n".join([title, *lines])}}]
    footer = " · ".join(filter(None, (target, rfc3339(event.entry.at))))
    return {
        "text": "\n".join(filter(None, plain)),
        "blocks": [
            *blocks,
            {"type": "context", "elements": [{"type": "mrkdwn", "text": footer}]},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _local_time(event: HookEvent) -> str:
    """The end of the pause in the reader's time zone."""
    until = event.entry.until
    if until is None:
        return "an operator resumes"
    return f"<!date^{math.ceil(until)}^{{date_short_pretty}} {{time_secs}}|{rfc3339(until)}>"


def _escaped(text: str, most: int) -> str:
    """``text``, escaped so that Slack shows it literally: no mentions, no disguised links, no formatting."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    for one, other in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(one, other)
    return text
