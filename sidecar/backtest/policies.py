"""Selects the policies to simulate, and describes them for a report."""

from __future__ import annotations

from dataclasses import fields, replace

from sidecar.alerts import Rule
from sidecar.config import Config
from sidecar.core.policy import Policy, PolicyTable, TrialPolicy
from sidecar.core.scope import ROOT

_NOT_SHOWN = ("wait_timeout_secs",)
"""Keys that do not affect when a scope is paused."""


def pausing(policies: PolicyTable) -> PolicyTable:
    """``policies`` in which policies that only observe pause instead."""
    return PolicyTable(
        _pausing(policies.defaults),
        tuple((match, _pausing(policy)) for match, policy in policies.rules),
        policies.named,
    )


def _pausing(policy: Policy) -> Policy:
    if policy.advises is None:
        return policy
    on_distressed = policy.pause_on_distressed or not policy.pause_on_concerned
    return replace(policy, dry_run=False, pause_on_distressed=on_distressed)


def observes_only(policies: PolicyTable, scope: str) -> bool:
    """Whether the config never pauses ``scope``."""
    return not policies.policy_for(scope).pauses


def settings_of(config: Config) -> dict[str, str]:
    """The settings that affect pauses, by config key, including the policies' defaults."""
    settings = {f"defaults.{key}": value for key, value in _policy(config.policies.defaults).items()}
    defaults = _policy(config.policies.defaults)
    for match, policy in config.policies.rules:
        for key, value in _policy(policy).items():
            if value != defaults[key]:
                settings[f"policies[{match or ROOT or '(root)'}].{key}"] = value
    alerts = config.alerts
    for index, rule in enumerate(alerts.rules.rules):
        settings[f"alerts.rules[{index}]"] = _rule(rule)
    if not alerts.rules.rules:
        settings["alerts.rules"] = "built-in"
    settings["alerts.alert_ttl_secs"] = f"{alerts.alert_ttl_secs:g}"
    settings["alerts.alertmanager_urls"] = (
        f"asked each {alerts.reconcile_secs:g} s" if alerts.alertmanager_urls else "none"
    )
    settings["alerts.watchdog.alertname"] = alerts.watchdog.alertname or "none"
    return settings


def _policy(policy: Policy) -> dict[str, str]:
    return {
        one.name: _spelled(getattr(policy, one.name)) for one in fields(policy) if one.name not in _NOT_SHOWN
    }


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, TrialPolicy):
        return f"{value.requests} requests, {value.secs:g} s" if value.requests else "none"
    if isinstance(value, tuple):
        return ", ".join(map(_spelled_item, value)) or "none"
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _spelled_item(item: object) -> str:
    if isinstance(item, tuple):
        # An entry of ``restrict``.
        state, rate = item
        return f"{state.label} {rate:g}/s"
    return "a time interval"


def _rule(rule: Rule) -> str:
    matchers = ", ".join(f'{one.name}{one.op}"{one.value}"' for one in rule.matchers) or "every alert"
    state = rule.state.label if rule.state is not None else "ignored"
    scope = "" if rule.scope is None else f", scope {'/'.join(rule.scope) or '(root)'}"
    return f"{matchers}: {state}{scope}"
