"""Explains what an alert would do, without doing it: rule, state, scope, policy and effect.

The rules, the interpreter and the core of the running sidecar decide everything, in a transaction that is
discarded.
"""

from .effect import Affected
from .explanation import Explainer

__all__ = ["Affected", "Explainer"]
