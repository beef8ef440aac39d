"""The whole loop on one machine: Prometheus, Alertmanager, the sidecar, a simulated engine and its load."""
