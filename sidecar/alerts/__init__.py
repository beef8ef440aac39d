"""Parses Alertmanager notifications, and maps alerts to scopes and states by rules. No clock, no I/O.

The status of each alert counts, never the status of the notification: a truncated notification can be
"resolved" although alerts that it leaves out are firing.
"""

from .api import ActiveAlert, parse_active_alerts, parse_started_at
from .errors import InvalidMatcher, InvalidNotification, InvalidRule, NotificationTooLarge
from .matchers import Matcher
from .payload import Alert, Notification, fingerprint_of, parse_notification
from .rules import NoMatch, NoMatchCause, Rule, RuleMatch, RuleSet, scope_values

__all__ = [
    "ActiveAlert",
    "Alert",
    "InvalidMatcher",
    "InvalidNotification",
    "InvalidRule",
    "Matcher",
    "NoMatch",
    "NoMatchCause",
    "Notification",
    "NotificationTooLarge",
    "Rule",
    "RuleMatch",
    "RuleSet",
    "fingerprint_of",
    "parse_active_alerts",
    "parse_notification",
    "parse_started_at",
    "scope_values",
]
