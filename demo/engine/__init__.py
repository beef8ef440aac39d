"""A simulated engine: a small model of an inference server under load, with real metric names."""
