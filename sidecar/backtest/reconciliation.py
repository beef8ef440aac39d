"""Simulates the reconciliation with Alertmanager (`alerts.alertmanager_urls`).

The rules are those of `sidecar.alertmanager.reconciler`: a listed alert counts; an alert that is absent twice
in a row ends. Rounds that cannot differ from the previous one are skipped, except for one every ten minutes,
which renews expiries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sidecar.alertmanager.notifications import AlertInterpreter
from sidecar.alertmanager.watchdog import Watchdog
from sidecar.alerts import Matcher, RuleMatch
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertMissing, Command, CommandOutcome, ReconcileAlerts
from sidecar.core.model import CoreState
from sidecar.core.values import ALERT_PREFIX, Signal

from .alertmanager_delays import FiringAlert
from .repeats import without_repeats

_CONFIRM_SECS = 5.0
_RENEW_SECS = 600.0
_WHY_GONE = "Alertmanager does not list it any more"

Submit = Callable[[Command], CommandOutcome | None]


class Reconciliation:
    """Polls the firing alerts at an interval.

    Args:
        config: the config of alerts; without URLs there are no queries.
        interpreter: maps alerts to claims.
        watchdog: says whether missing alerts may end.
        alerts: the alerts that fired, sorted by beginning.
        start: the beginning of the simulated time.

    Attributes:
        next_at: when the next round is due.
    """

    def __init__(
        self,
        config: AlertsConfig,
        interpreter: AlertInterpreter,
        watchdog: Watchdog,
        alerts: Sequence[FiringAlert],
        start: float,
    ) -> None:
        self._secs = config.reconcile_secs
        self._ttl_secs = config.alert_ttl_secs
        self._renew_secs = min(_RENEW_SECS, config.alert_ttl_secs / 3)
        self._interpreter = interpreter
        self._watchdog = watchdog
        matchers = [Matcher.parse(text) for text in config.alertmanager.filter]
        self._alerts = [
            one for one in alerts if all(matcher.matches(one.alert.labels) for matcher in matchers)
        ]
        self._watchdog_alerts = [
            one for one in alerts if one.alert.labels.get("alertname") == config.watchdog.alertname
        ]
        self._active: dict[str, FiringAlert] = {}
        self._next_alert = 0
        self._absent: dict[str, Signal] = {}
        self._renewed_at = -math.inf
        self.next_at = start if config.alertmanager_urls else math.inf

    def round(self, now: float, core: CoreState, submit: Submit) -> None:
        """Poll once, compare, and correct the difference."""
        changed = self._advance(now)
        self.next_at = now + self._secs
        watched = any(one.alert.starts_at <= now < one.ends_at for one in self._watchdog_alerts)
        self._watchdog.record_listing(watched, complete=True, queried_at=now)
        unsettled = self._absent or self._watchdog.ignores_missing_alerts
        if not (changed or unsettled or now >= self._renewed_at + self._renew_secs):
            return
        self._renewed_at = now
        query_id = self._interpreter.query_id
        active = [one.alert for one in self._active.values()]
        news = without_repeats(active, core, self._ttl_secs, now)
        firing = tuple(
            self._interpreter.fired(alert, match, now)
            for alert in news
            if isinstance(match := self._interpreter.match(alert), RuleMatch)
        )
        listed = {ALERT_PREFIX + fingerprint for fingerprint in self._active}
        absent = {
            signal.source: signal
            for record in core.records.values()
            for signal in record.signals.values()
            if signal.query == query_id and signal.source not in listed
        }
        believed = not self._watchdog.ignores_missing_alerts
        gone = tuple(
            AlertMissing(source, signal.since, signal.expires_at, _WHY_GONE)
            for source, signal in absent.items()
            if believed and self._absent.get(source) == signal
        )
        self._absent = absent if believed else {}
        outcome = submit(ReconcileAlerts(firing, gone, now))
        if outcome is not None:
            self._watchdog.record_ended(outcome, absent)
        if self._absent.keys() - {one.source for one in gone}:
            self.next_at = now + min(self._secs / 2, _CONFIRM_SECS)

    def _advance(self, now: float) -> bool:
        """Update the active alerts to the time ``now``. Returns whether they changed."""
        changed = False
        while self._next_alert < len(self._alerts) and self._alerts[self._next_alert].alert.starts_at <= now:
            one = self._alerts[self._next_alert]
            self._next_alert += 1
            self._active[one.alert.fingerprint] = one
            changed = True
        ended = [key for key, one in self._active.items() if one.ends_at <= now]
        for key in ended:
            del self._active[key]
        return changed or bool(ended)
