"""The alert rules of the closed loop: the shipped ones, one that feeds itself, and one that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .environment import shipped_rules
from .loop_cases import FASTER


def loop_rules() -> list[dict[str, Any]]:
    """The shipped rules, without those for an engine that cannot be scraped.

    What has to be so for a minute is three seconds here, in which a busy machine looks like a dead engine.
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
    """A rule that is wrong: it fires for every engine of ``groups``, all of which are well, and never ends.

    On a busy machine a scrape fails, or Prometheus is silent for so long that Alertmanager ends the alert after
    four intervals. Then the gates open for a second, and all that has waited for minutes passes.
    """
    engines = "|".join(f"{group}/.+" for group in groups)
    labels = {"wellbeing": "distressed", "wellbeing_scope": "{{ $labels.model_name }}"}
    expression = f'vllm:num_requests_running{{model_name=~"{engines}"}} >= 0'
    rule = {"alert": "BadRule", "expr": expression, "keep_firing_for": "1m", "labels": labels}
    return {"name": "bad-rule", "interval": "5s", "rules": [rule]}
