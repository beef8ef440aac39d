"""Explains the alerts of a notification, one after the other."""

from __future__ import annotations

import copy
from dataclasses import asdict

from sidecar.alertmanager.notifications import AlertInterpreter
from sidecar.alerts import Alert, NoMatch, Notification, RuleMatch
from sidecar.config import Config
from sidecar.core.commands import ReceiveAlerts
from sidecar.core.errors import CoreError
from sidecar.core.model import CoreState
from sidecar.core.scope import lies_within
from sidecar.core.transaction import Transaction

from .effect import effect_of, nothing
from .rules import explain_rules
from .scope import explain_scope

Json = dict[str, object]


class Explainer:
    """Explains the alerts of one notification, each as if the previous ones were applied. Applies nothing.

    Args:
        config: the config.
        state: the state on which the core decides; it is not changed.
        now: wall time, seconds since the epoch.
        sender_scope: the sender may change only this scope and the scopes inside it.
        blind: the watchdog is silent, so resolves lift nothing.
    """

    def __init__(
        self,
        config: Config,
        state: CoreState,
        now: float,
        *,
        sender_scope: str = "",
        blind: bool = False,
    ) -> None:
        self._config = config
        self._interpreter = AlertInterpreter(config.alerts)
        # Use no tombstones: a running sidecar may end alerts between two explanations, while the oldest
        # tombstones are iterated.
        unchanged = copy.copy(state)
        unchanged.tombstones = dict(state.tombstones)
        self._transaction = Transaction(unchanged)
        self._now = now
        self._sender_scope = sender_scope
        self._blind = blind

    def explain(self, alert: Alert) -> Json:
        """The effects that ``alert`` would have. A running sidecar fills in ``affects``."""
        rules = self._config.alerts.rules
        match = self._interpreter.match(alert)
        found: Json = {
            "fingerprint": alert.fingerprint,
            "alertname": alert.labels.get("alertname"),
            "status": "firing" if alert.firing else "resolved",
            "rules": [],
            "state": None,
            "reason": None,
            "scope": None,
            "scope_from": None,
            "policy": None,
            "affects": None,
        }
        if match is None:
            text = "it is the watchdog's alert: it shows that alerting works, and changes no state"
            return {**found, "outcome": "ignored", **nothing("watchdog", text)}
        found["rules"] = explain_rules(rules, alert, self._config.locations)
        found["scope_from"] = explain_scope(rules, alert, match)
        if isinstance(match, RuleMatch):
            found |= {"state": match.state.label, "reason": match.reason, "scope": match.scope}
        return {**found, **self._decide(alert, match)}

    def _decide(self, alert: Alert, match: RuleMatch | NoMatch) -> Json:
        interpretation = self._interpreter.interpret(
            Notification("", "", 0, (alert,)), self._now, self._sender_scope
        )
        commands = interpretation.command.alerts
        if not commands:
            return self._left_out(match)
        blind = self._blind and not alert.firing
        command = ReceiveAlerts(commands, blind=blind, sender_scope=self._sender_scope)
        source = commands[0].source
        scope = self._transaction.alert_scope(source)
        if isinstance(match, RuleMatch) and alert.firing:
            scope = match.scope
        try:
            outcome = self._transaction.apply_command(command, self._now)
        except CoreError as error:
            return {"outcome": "refused", **nothing("refused", str(error))}
        result = outcome.alerts[0].value
        if scope is None:
            if isinstance(match, NoMatch):
                return self._left_out(match)
            text = "no signal of this alert is known, so there is nothing to end"
            return {"outcome": result, **nothing("unknown", text)}
        if not lies_within(scope, self._sender_scope) or (result == "ignored" and not blind):
            return self._left_out(match)
        if blind and result == "ignored":
            text = "the sidecar is blind: the watchdog's alert is missing, so a resolve lifts nothing"
            return {"outcome": result, **nothing("blind", text)}
        policies = self._transaction.policies
        policy = policies.policy_for(scope)
        effect = effect_of(commands[0], outcome, self._transaction.record(scope), policy, scope)
        return {
            "outcome": result,
            "scope": scope,
            "policy": self._policy(scope),
            **effect,
        }

    def _left_out(self, match: RuleMatch | NoMatch) -> Json:
        if isinstance(match, NoMatch):
            label = f" ({match.label})" if match.label else ""
            word = "misdirected" if match.misdirected else "ignored"
            return {"outcome": word, **nothing(word, f"it maps to no scope: {match.cause.value}{label}")}
        text = (
            f"the sender may report only on {self._sender_scope!r} and what is inside it, with fingerprints"
            " that are the hash of the labels"
        )
        return {"outcome": "ignored", "scope": None, **nothing("not_allowed", text)}

    def _policy(self, scope: str) -> Json:
        policies = self._transaction.policies
        index = policies.index_for(scope)
        name = "defaults" if index is None else f"policies[{index}]"
        policy = policies.policy_for(scope)
        threshold = policy.threshold
        return {
            "name": name,
            "match": None if index is None else policies.rules[index][0],
            "at": self._config.locations.get(name),
            "acts_from": threshold.label if threshold else None,
            "pauses": policy.pauses,
            "settings": {
                **asdict(policy),
                "restrict": {state.label: rate for state, rate in policy.restrict},
            },
        }
