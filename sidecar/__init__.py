"""The wellbeing sidecar: watches how well an agent or a model is, and gates its inference."""

__version__ = "0.1.0"
