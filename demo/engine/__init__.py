"""A simulated engine: a small model of what an inference server does under load, with the real ones' names."""
