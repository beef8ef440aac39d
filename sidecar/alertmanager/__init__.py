"""Alertmanager: notifications from it, and queries to it."""
