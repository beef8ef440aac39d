"""Alertmanager: notifications received from it, and what the sidecar asks it."""
