"""Sentences that both the text report and the HTML report use."""

from __future__ import annotations

from .spans import minute, span, times
from .summary import BacktestReport, ConfigResult


def heading(report: BacktestReport) -> str:
    """The heading: what was tested, and on which data."""
    return (
        f"{span(report.end - report.start)} from {minute(report.start)} to {minute(report.end)} UTC, "
        f"alerts from {report.alerts_from}, sampled every {report.step_secs:g} s, from {report.prometheus}"
    )


def assumption(result: ConfigResult) -> str:
    """The remark about a config that only observes; empty: it pauses every listed scope."""
    if not result.assumed:
        return ""
    if all(scope.advised for scope in result.scopes):
        return (
            "This config only observes. The report shows what it would pause with pause_on_distressed: true; "
            "--no-assume-pause shows what it pauses as it is."
        )
    return (
        "Where this config only observes (marked *), the report shows what it would pause with "
        "pause_on_distressed: true; --no-assume-pause shows what it pauses as it is."
    )


def conclusion(result: ConfigResult) -> str:
    """The result in one sentence."""
    verb = "would have been" if result.assumed else "was"
    if not result.pauses:
        why = _why_nothing(result)
        return f"Nothing {verb} paused{why}."
    scopes = sum(1 for scope in result.scopes if scope.pauses)
    secs = sum(scope.paused_secs for scope in result.scopes)
    verbs = "would have been" if result.assumed else "were"
    subject = f"{times(scopes, 'scope')} {verb if scopes == 1 else verbs} paused"
    return f"{subject}, {times(len(result.pauses), 'time')}, for {span(secs)} in all."


def _why_nothing(result: ConfigResult) -> str:
    if not result.alerts:
        return ": no alert fired"
    if all(alert.state is None for alert in result.alerts):
        causes = ", ".join(sorted({alert.ignored for alert in result.alerts if alert.ignored}))
        return f": the rules of the config ignore every alert that fired{f' ({causes})' if causes else ''}"
    worst = max(alert.state for alert in result.alerts if alert.state is not None)
    return f": the worst state that an alert claimed is {worst.label}"
