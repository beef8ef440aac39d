"""Alertmanager's notifications, and the claims that rules make of them. Pure: no clock, no I/O.

Each alert's own status counts, never the notification's: a notification that was cut can say
"resolved" while alerts it left out still fire.
"""

from .api import ActiveAlert, parse_active_alerts, parse_started_at
from .errors import InvalidMatcher, InvalidNotification, InvalidRule, NotificationTooLarge
from .matchers import Matcher
from .payload import Alert, Notification, fingerprint_of, parse_notification
from .rules import NoMatch, NoMatchCause, Rule, RuleMatch, RuleSet

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
]
