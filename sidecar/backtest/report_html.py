"""A report as one HTML file: no scripts, no other files, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .report_text import LIMIT_HEADER, compared_settings, limit_cells, scope_cells
from .sentences import assumption, conclusion, heading
from .spans import minute, scope_name, span
from .summary import BacktestReport, ConfigResult, TimedPause
from .timeline_svg import timeline

_MAX_PAUSES_LISTED = 500
_MAX_TIMELINES = 200

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1c2024; --page: #fff; --faint: #656d76; --line: #d9dde2; --lane: #f1f3f5;
  --pause: #3538cd; --cautious: #d4b106; --concerned: #e07b00; --distressed: #c4320a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e8ea; --page: #15181b; --faint: #9aa3ac; --line: #33383e; --lane: #20252a;
    --pause: #8098f9; --cautious: #d9bf3c; --concerned: #ff9d3c; --distressed: #ff7a50;
  }
}
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 1100px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere;
}
h1 { font-size: 1.5rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p.faint { color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td {
  text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: normal;
}
td.number, th.number { text-align: right; }
tr.differs td { font-weight: 600; }
figure { margin: 0 0 1rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 11px; fill: var(--faint); }
.lane { fill: var(--lane); }
.tick { stroke: var(--line); }
.pause { fill: var(--pause); }
.limit { fill: var(--pause); fill-opacity: .25; }
.advised { fill-opacity: .55; stroke: var(--pause); }
.cautious { fill: var(--cautious); }
.concerned { fill: var(--concerned); }
.distressed { fill: var(--distressed); }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def html_report(report: BacktestReport) -> str:
    """The text of the file."""
    body = [
        "<h1>Would it have helped?</h1>",
        f"<p>{escape(heading(report))}</p>",
        *(f'<p class="faint">Note: {escape(note)}.</p>' for note in report.notes),
        *_results(report.configs),
        *_settings(report.configs),
        *_timelines(report),
        *(part for result in report.configs for part in _details(result)),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Backtest of wellbeing policies</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def _results(results: Sequence[ConfigResult]) -> Iterable[str]:
    for result in results:
        yield f"<h2>{escape(result.name)}</h2>"
        yield f"<p>{escape(conclusion(result))} {escape(assumption(result))}</p>"
        for note in result.notes:
            yield f'<p class="faint">Note: {escape(note)}.</p>'
        if result.scopes:
            yield _table(
                ("scope", "pauses", "paused", "longest", "flaps", "share", "by alert"),
                [scope_cells(scope, _alert_share) for scope in result.scopes],
                numbers=(1, 2, 3, 4, 5),
            )
        if result.limits:
            header = [title.lower() for title in LIMIT_HEADER]
            yield _table(header, [limit_cells(limits) for limits in result.limits], numbers=(1, 2, 3, 4, 5))


def _alert_share(name: str, count: int, secs: float) -> str:
    return f"{name} ({count}, {span(secs)})"


def _settings(results: Sequence[ConfigResult]) -> Iterable[str]:
    yield "<h2>Settings</h2>"
    rows = compared_settings(results)
    differs = [len(set(row[1:])) > 1 for row in rows]
    yield _table(("setting", *(result.name for result in results)), rows, marked=differs)


def _timelines(report: BacktestReport) -> Iterable[str]:
    scopes = sorted({scope.scope for result in report.configs for scope in result.scopes})
    if not scopes:
        return
    yield "<h2>Timelines</h2>"
    names = ", ".join(result.name for result in report.configs)
    lanes = f"Lanes from the top: {names}. " if len(report.configs) > 1 else ""
    yield (
        f'<p class="faint">{escape(lanes)}Bars are pauses, faint bars restrictions and trials; hover over '
        "one to see its cause. The line "
        "below is the state: yellow cautious, orange concerned, red distressed. Times are UTC.</p>"
    )
    for scope in scopes[:_MAX_TIMELINES]:
        yield f"<figure><h3>{escape(scope_name(scope))}</h3>"
        yield timeline(report, scope, report.configs)
        yield "</figure>"
    if len(scopes) > _MAX_TIMELINES:
        yield f"<p>{len(scopes) - _MAX_TIMELINES} more scopes are not drawn; --json has them.</p>"


def _details(result: ConfigResult) -> Iterable[str]:
    yield f"<h2>{escape(result.name)}: pauses and alerts</h2>"
    if result.pauses:
        yield _table(
            ("began (UTC)", "paused", "scope", "alert", "ended by", "reason"),
            [_pause(pause) for pause in result.pauses[:_MAX_PAUSES_LISTED]],
            numbers=(1,),
        )
        more = len(result.pauses) - _MAX_PAUSES_LISTED
        if more > 0:
            yield f"<p>{more} more pauses are not listed; --json has them.</p>"
    if result.alerts:
        yield "<h3>Alerts</h3>"
        yield _table(
            ("alert", "fired", "for", "state", "pauses"),
            [
                (
                    alert.alertname,
                    str(alert.firings),
                    span(alert.firing_secs),
                    (alert.state.label if alert.state is not None else "ignored")
                    + (f" ({alert.ignored})" if alert.ignored else ""),
                    str(alert.pauses),
                )
                for alert in result.alerts
            ],
            numbers=(1, 2, 4),
        )


def _pause(pause: TimedPause) -> tuple[str, ...]:
    return (
        minute(pause.began),
        span(pause.secs),
        scope_name(pause.scope),
        pause.alertname,
        pause.cause or "not ended",
        pause.reason + (" (soon after the last pause)" if pause.flap else ""),
    )


def _table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    marked: Sequence[bool] = (),
) -> str:
    def cell(tag: str, column: int, text: str) -> str:
        css = ' class="number"' if column in numbers else ""
        return f"<{tag}{css}>{escape(text)}</{tag}>"

    lines = ['<div class="scroll"><table>', "<thead><tr>"]
    lines += [cell("th", column, text) for column, text in enumerate(header)]
    lines.append("</tr></thead><tbody>")
    for number, row in enumerate(rows):
        css = ' class="differs"' if marked and marked[number] else ""
        lines.append(
            f"<tr{css}>" + "".join(cell("td", column, text) for column, text in enumerate(row)) + "</tr>"
        )
    lines.append("</tbody></table></div>")
    return "\n".join(lines)
