"""Explains what an alert would do, without doing it: rule, state, scope, policy and effect.

Everything is decided by the rules, the interpreter and the core of the service, in a transaction that is
discarded.
"""

from .effect import Affected
from .explanation import Explainer

__all__ = ["Affected", "Explainer"]
