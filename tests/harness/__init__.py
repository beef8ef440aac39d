"""Starts real programs for tests, on loopback and on free ports, and stops them by process id."""
