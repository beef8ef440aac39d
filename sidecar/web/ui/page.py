"""``/``: the status page. Plain HTML without scripts or other files. It reloads itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment

REFRESH_SECS = 5
MAX_SCOPES = 200
_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top; }
th, td { border-bottom: 1px solid #ddd; }
.closed, .distressed { color: #b00020; font-weight: 600; }
.concerned, .restricted { color: #b25000; } .cautious { color: #7a6200; } .open, .healthy { color: #1b6e2d; }
.advice { color: #6a1b9a; } .note { color: #666; }
.blind { background: #b00020; color: #fff; padding: .6rem 1rem; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #16181c; }
th, td { border-color: #333; }
.closed, .distressed { color: #ff6b7d; } .concerned, .restricted { color: #ff9f4a; }
.cautious { color: #e5c84a; }
.open, .healthy { color: #6fcf86; } .note { color: #999; } .advice { color: #ce93d8; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
SECURITY_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"

_PAGE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{{ refresh }}">
<title>{{ closed }} paused: wellbeing</title>
<style>"""
    + _STYLE
    + """</style>
</head>
<body>
<h1>Wellbeing</h1>
{% if watchdog and not watchdog.heard %}<p class="note">The watchdog's alert {{ watchdog.alertname }}
was never received: check its rule in Prometheus, and its route in Alertmanager.</p>{% endif %}
{% if blind %}<p class="blind">Blind:
the watchdog's alert is missing, so a resolve lifts nothing.</p>{% endif %}
<p>{{ total }} scopes, {{ closed }} closed, {{ advised }} with an advised pause,
{{ waiting }} requests waiting.
{% if total > scopes | length %}The worst {{ scopes | length }} are shown.{% endif %}</p>
<table>
<thead><tr><th>scope</th><th>gate</th><th>state</th><th>why</th><th>until</th><th>waiting</th></tr></thead>
<tbody>
{% for one in scopes %}<tr>
<td>{{ one.scope or "(root)" }}</td>
<td class="{{ one.gate }}">{{ one.gate }}
{% if one.admit_per_sec %}<div class="note">{{ one.admit_per_sec }} per second</div>{% endif %}
{% if one.trial %}<div class="note">on trial</div>{% endif %}</td>
<td class="{{ one.effective_state }}">{{ one.effective_state }}</td>
<td>{{ one.reason or "" }}
{% if one.held_by is not none and one.held_by != one.scope %}
<span class="note">(held by {{ one.held_by or "the root" }})</span>{% endif %}
{% if one.advice %}<div class="advice">a pause is advised since {{ one.advice.since }}
until {{ one.advice.until or "an operator resumes" }}, and not put ({{ one.advice.why }}):
{{ one.advice.reason }}
{% if one.advice.advised_by != one.scope %}
<span class="note">(by {{ one.advice.advised_by or "the root" }})</span>{% endif %}</div>{% endif %}
{% if one.suppressed %}<div class="note">{{ one.suppressed.text }}</div>{% endif %}
{% for signal in one.signals[:5] %}
<div class="note">{{ signal.alertname or "" }} {{ signal.source }}: {{ signal.state }}
since {{ signal.since }}{% if signal.reason %}: {{ signal.reason }}{% endif %}</div>{% endfor %}
{% if one.signals | length > 5 %}
<div class="note">and {{ one.signals | length - 5 }} more</div>
{% endif %}</td>
<td>{% if one.gate == "restricted" %}{{ one.until or "the state improves" }}
{% elif one.gate == "closed" %}{{ one.until or "an operator resumes" }}{% endif %}</td>
<td>{{ one.counters.waiters }}</td>
</tr>{% endfor %}
</tbody>
</table>
<h2>What happened</h2>
<table>
<thead><tr><th>when</th><th>scope</th><th>what</th><th>by</th><th>why</th></tr></thead>
<tbody>
{% for entry in entries %}<tr>
<td>{{ entry.at }}</td><td>{{ entry.scope or "(root)" }}</td>
<td>{{ entry.kind }}: {{ entry.from }} to {{ entry.to }}</td>
<td>{{ entry.alertname or "" }} {{ entry.source }}{% if entry.actor and entry.actor != entry.source %}
<span class="note">({{ entry.actor }})</span>{% endif %}</td>
<td>{{ entry.reason }}</td>
</tr>{% endfor %}
</tbody>
</table>
<p class="note">wellbeing-sidecar {{ version }}, at {{ now }}; this page reloads every {{ refresh }} s.</p>
</body>
</html>
"""
)


def status_page(
    status: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], *, now: str, version: str
) -> str:
    """Render the page.

    Args:
        status: the status of the root, with all scopes below.
        entries: the history entries, newest first.
        now: the time, as text.
        version: the version of the sidecar.
    """
    scopes = sorted([status, *status["below"]], key=_sort_key)
    return _PAGE.render(
        scopes=scopes[:MAX_SCOPES],
        total=len(scopes),
        closed=sum(one["gate"] == "closed" for one in scopes),
        advised=sum(one["advice"] is not None for one in scopes),
        waiting=sum(one["counters"]["waiters"] for one in scopes),
        blind=status["blind"],
        watchdog=status["watchdog"],
        entries=entries,
        refresh=REFRESH_SECS,
        now=now,
        version=version,
    )


def _sort_key(one: Mapping[str, Any]) -> tuple[object, ...]:
    states = ("distressed", "concerned", "cautious", "healthy")
    gates = ("closed", "restricted", "open")
    return gates.index(one["gate"]), states.index(one["effective_state"]), one["scope"]
