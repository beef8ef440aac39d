"""The alert rules of the closed loop: the shipped rules, one that keeps itself firing, and one that is
wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .environment import shipped_rules
from .loop_cases import FASTER


def loop_rules() -> list[dict[str, Any]]:
    """The shipped rules, without those for an engine that cannot be scraped.

    One minute in these rules is three seconds here, so a busy machine would look like a dead engine.
    """
    groups = shipped_rules(FASTER, "vllm", "sglang")
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if not rule.get("alert", "").endswith("Down")]
    return groups


def planted_rule(planted: str) -> dict[str, Any]:
    """VllmStuck without its mask, for the engine with the job ``planted`` only."""
    rules = next(group for group in shipped_rules(FASTER, "vllm") if group["name"] == "wellbeing-vllm")[
        "rules"
    ]
    rule = next(rule for rule in rules if rule.get("alert") == "VllmStuck")
    bare = rule["expr"].partition("unless")[0]
    return {
        "name": planted,
        "rules": [{**rule, "alert": "PlantedStuck", "expr": f'({bare}) and on (job) up{{job="{planted}"}}'}],
    }


def bad_rule(groups: Iterable[str]) -> dict[str, Any]:
    """A wrong rule: it fires for every engine of ``groups``, although all are well, and never ends.

    On a busy machine a scrape may fail, or Prometheus may be silent for four intervals, after which Alertmanager
    ends the alert. Then the gates would open for a second, and all waiting requests would pass.
    """
    engines = "|".join(f"{group}/.+" for group in groups)
    labels = {"wellbeing": "distressed", "wellbeing_scope": "{{ $labels.model_name }}"}
    expression = f'vllm:num_requests_running{{model_name=~"{engines}"}} >= 0'
    rule = {"alert": "BadRule", "expr": expression, "keep_firing_for": "1m", "labels": labels}
    return {"name": "bad-rule", "interval": "5s", "rules": [rule]}
