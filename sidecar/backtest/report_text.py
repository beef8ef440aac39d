"""A report for a terminal: tables in plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .limits import LimitSummary
from .sentences import assumption, conclusion, heading
from .spans import scope_name, share, span
from .summary import BacktestReport, ConfigResult, ScopeSummary

_SCOPE_HEADER = ("SCOPE", "PAUSES", "PAUSED", "LONGEST", "FLAPS", "SHARE", "BY")
LIMIT_HEADER = ("SCOPE", "RESTRICTED", "FOR", "LOWEST RATE", "TRIALS", "ON TRIAL")
_ALERT_HEADER = ("ALERT", "FIRED", "FOR", "STATE", "PAUSES", "SCOPES")
_MAX_SCOPES_SHOWN = 3


def text_report(report: BacktestReport) -> Iterator[str]:
    """The lines of the report."""
    yield heading(report)
    for note in report.notes:
        yield f"Note: {note}."
    for result in report.configs:
        yield ""
        yield from _config(result)
    if len(report.configs) > 1:
        yield ""
        yield from _comparison(report.configs)


def _config(result: ConfigResult) -> Iterator[str]:
    yield f"{result.name}: {conclusion(result)}"
    for sentence in (assumption(result), *(f"Note: {note}." for note in result.notes)):
        if sentence:
            yield sentence
    if result.scopes:
        yield ""
        rows = [scope_cells(scope, _alert_count) for scope in result.scopes]
        yield from table(_SCOPE_HEADER, rows, numbers=(1, 2, 3, 4, 5))
    if result.limits:
        yield ""
        yield from table(LIMIT_HEADER, [limit_cells(limits) for limits in result.limits], (1, 2, 3, 4, 5))
    if result.alerts:
        yield ""
        rows = [
            (
                alert.alertname,
                str(alert.firings),
                span(alert.firing_secs),
                alert.state.label if alert.state is not None else "ignored",
                str(alert.pauses),
                _shortened(alert.scopes) + (f" (ignored: {alert.ignored})" if alert.ignored else ""),
            )
            for alert in result.alerts
        ]
        yield from table(_ALERT_HEADER, rows, numbers=(1, 2, 4))


def limit_cells(limits: LimitSummary) -> tuple[str, ...]:
    """The cells of the row with a scope's restrictions and trials."""
    return (
        scope_name(limits.scope),
        str(limits.restrictions),
        span(limits.restricted_secs),
        "-" if limits.lowest_rate is None else f"{limits.lowest_rate:g}/s",
        str(limits.trials),
        span(limits.trial_secs),
    )


def scope_cells(scope: ScopeSummary, alert_cell: Callable[[str, int, float], str]) -> tuple[str, ...]:
    """The cells of a scope's row.

    Args:
        scope: the scope.
        alert_cell: returns the text for an alert: its name, how often it paused, and for how many seconds.
    """
    by = ", ".join(alert_cell(name, count, secs) for name, (count, secs) in scope.by_alert.items())
    return (
        scope_name(scope.scope) + (" *" if scope.advised and scope.pauses else ""),
        str(scope.pauses),
        span(scope.paused_secs),
        span(scope.longest_secs),
        str(scope.flaps),
        share(scope.share),
        by or "-",
    )


def _alert_count(name: str, count: int, _secs: float) -> str:
    return f"{name} {count}"


def _shortened(scopes: Sequence[str]) -> str:
    names = [scope_name(scope) for scope in scopes[:_MAX_SCOPES_SHOWN]]
    more = len(scopes) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "") if names else "-"


def _comparison(results: Sequence[ConfigResult]) -> Iterator[str]:
    """A table of the settings that differ, with the result of each config."""
    yield "Side by side:"
    rows = [("pauses", *(str(len(result.pauses)) for result in results))]
    rows.append(("paused", *(span(sum(scope.paused_secs for scope in result.scopes)) for result in results)))
    rows.append(("flaps", *(str(sum(scope.flaps for scope in result.scopes)) for result in results)))
    rows += [row for row in compared_settings(results) if len(set(row[1:])) > 1]
    yield from table(("", *(result.name for result in results)), rows, numbers=())


def compared_settings(results: Sequence[ConfigResult]) -> list[tuple[str, ...]]:
    """A row for each setting: its key, and its value in each config."""
    keys = dict.fromkeys(key for result in results for key in result.settings)
    return [(key, *(result.settings.get(key, "-") for result in results)) for key in keys]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> Iterator[str]:
    """The lines of a table with aligned columns.

    Args:
        header: a title for each column.
        rows: cells.
        numbers: the columns that are aligned to the right.
    """
    cells = [[_on_one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        aligned = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(aligned).rstrip()


def _on_one_line(cell: str) -> str:
    return cell if cell.isprintable() else cell.encode("unicode_escape").decode()
