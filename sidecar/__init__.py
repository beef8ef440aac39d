"""The wellbeing sidecar: monitors the wellbeing of an agent or a model, and gates its inference."""

__version__ = "0.2.0"
