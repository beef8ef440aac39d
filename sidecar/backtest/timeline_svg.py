"""A timeline of one scope as inline SVG: states as thin bands, pauses as bars, days or hours below."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from sidecar.core.state import WellbeingState

from .limits import RecordedLimit
from .spans import minute, span
from .summary import BacktestReport, ConfigResult, TimedPause

_WIDTH = 1000
_LANE = 26
_AXIS = 18
_LEAST_WIDTH = 1.5
"""The minimum width, so that a short pause in a long range stays visible."""
_TICKS_SECS = (60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000)
_MOST_TICKS = 10
_DAY = 86_400


def timeline(report: BacktestReport, scope: str, results: Sequence[ConfigResult]) -> str:
    """The SVG of ``scope``: a lane for each config.

    Args:
        report: the report, which has the range.
        scope: the scope.
        results: one lane for each.
    """
    start, end = report.start, report.end
    height = _LANE * len(results) + _AXIS
    label = escape(f"Timeline of {scope or '(root)'}", quote=True)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">']
    for lane, result in enumerate(results):
        top = lane * _LANE
        parts.append(f'<rect class="lane" x="0" y="{top + 2}" width="{_WIDTH}" height="{_LANE - 4}"/>')
        parts += _states(result, scope, start, end, top)
        parts += [_limit_bar(limit, start, end, top) for limit in result.limit_spans if limit.scope == scope]
        parts += [_bar(pause, start, end, top) for pause in result.pauses if pause.scope == scope]
    parts += _axis(start, end, height)
    parts.append("</svg>")
    return "\n".join(parts)


def _states(result: ConfigResult, scope: str, start: float, end: float, top: int) -> list[str]:
    own = next((one for one in result.scopes if one.scope == scope), None)
    if own is None:
        return []
    ends = [*(at for at, _ in own.states[1:]), end]
    return [
        f'<rect class="{state.label}" {_place(at, until, start, end)} y="{top + _LANE - 8}" height="5">'
        f"<title>{state.label} from {minute(at)} for {span(until - at)}</title></rect>"
        for (at, state), until in zip(own.states, ends, strict=True)
        if state is not WellbeingState.HEALTHY
    ]


def _bar(pause: TimedPause, start: float, end: float, top: int) -> str:
    ended = "still paused at the end" if pause.ended is None else f"ended by {pause.cause}"
    title = escape(
        f"{pause.alertname}: {minute(pause.began)} for {span(pause.secs)}, {ended}. {pause.reason}",
        quote=True,
    )
    css = "pause advised" if pause.advised else "pause"
    location = _place(max(start, pause.began), end if pause.ended is None else pause.ended, start, end)
    return f'<rect class="{css}" {location} y="{top + 4}" height="13"><title>{title}</title></rect>'


def _limit_bar(limit: RecordedLimit, start: float, end: float, top: int) -> str:
    ended = end if limit.ended is None else limit.ended
    what = "on trial" if limit.rate is None else f"restricted to {limit.rate:g} requests per second"
    when = f"{minute(limit.began)} for {span(ended - limit.began)}"
    title = escape(f"{what}: {when}. {limit.reason}", quote=True)
    location = _place(max(start, limit.began), ended, start, end)
    return f'<rect class="limit" {location} y="{top + 4}" height="13"><title>{title}</title></rect>'


def _place(began: float, ended: float, start: float, end: float) -> str:
    scale = _WIDTH / (end - start)
    left = (began - start) * scale
    width = max(_LEAST_WIDTH, (min(ended, end) - began) * scale)
    return f'x="{min(left, _WIDTH - width):.2f}" width="{width:.2f}"'


def _axis(start: float, end: float, height: int) -> list[str]:
    step = next((one for one in _TICKS_SECS if (end - start) / one <= _MOST_TICKS), _TICKS_SECS[-1])
    form = "%b %d" if step >= _DAY else "%d %H:%M" if end - start > _DAY else "%H:%M"
    parts = []
    at = -(-start // step) * step
    while at <= end:
        left = (at - start) / (end - start) * _WIDTH
        anchor = "start" if left < 30 else "end" if left > _WIDTH - 30 else "middle"  # noqa: PLR2004 - half a label
        parts.append(f'<line class="tick" x1="{left:.1f}" x2="{left:.1f}" y1="0" y2="{height - _AXIS + 3}"/>')
        text = datetime.fromtimestamp(at, UTC).strftime(form)
        parts.append(f'<text x="{left:.1f}" y="{height - 4}" text-anchor="{anchor}">{text}</text>')
        at += step
    return parts
