"""PromQL that several panels have in common.

Several sidecars may serve one scope, and each of them exposes its series. Facts about the scope are therefore
aggregated by ``max``, so that they count once. Requests are added up, because each request asks only one
sidecar.
"""

from __future__ import annotations

SIDECARS = 'cluster=~"$cluster",instance=~"$instance"'
"""The sidecars that the dashboard shows. A Prometheus of one cluster has no label cluster: "All" matches that."""

RECORDED = 'scope=~"$scope"'
"""The chosen scopes, for series that rules record: they are aggregated over all sidecars."""
SCOPES = f"{SIDECARS},{RECORDED}"
"""The chosen scopes, for series of the sidecars."""


def named(expression: str) -> str:
    """``expression``, a vector by scope, with a name for the root, whose scope is empty."""
    return f'label_replace({expression}, "scope", "(root)", "scope", "")'


def increase(counter: str, by: str, window: str) -> str:
    """How much ``counter`` grew in ``window``, as the sidecar that saw most of it counted.

    Unlike PromQL's ``increase``, it includes the value that a series begins with.

    Args:
        counter: a series selector.
        by: the labels to aggregate by.
        window: a PromQL duration.
    """
    return f"max by ({by}) (clamp_min({counter} - ({counter} offset {window} or {counter} * 0), 0))"


def share(counter: str, window: str) -> str:
    """The share of ``window`` that ``counter``, in seconds, grew by, by scope; at most 1."""
    return f"max by (scope) (clamp_max(rate({counter}[{window}]), 1))"


def rate(counter: str, by: str = "") -> str:
    """How much ``counter`` grows per second, added up over all series or by the labels ``by``."""
    grouping = f" by ({by}) " if by else ""
    return f"sum{grouping}(rate({counter}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", window: str = "$__rate_interval") -> str:
    """A quantile of a histogram.

    Args:
        share: 0.5 for the median.
        histogram: a selector of its ``_bucket`` series.
        by: the labels to aggregate by.
        window: a PromQL duration.
    """
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({histogram}[{window}])))"


def pauses(selector: str) -> str:
    """The seconds until each pause ends, or -1 if it has no end, by scope, hold and reason."""
    until = f"wellbeing_pause_until_timestamp_seconds{{{selector}}}"
    ends = f"(min by (scope) ({until}) == 0) - 1 or clamp_min(max by (scope) ({until}) - time(), 0)"
    held = f"max by (scope, held_by, kind, source, reason) (wellbeing_pause_info{{{selector}}})"
    return f"{held} * on (scope) group_left () ({ends})"
