"""The demo: Prometheus, Alertmanager, the sidecar, a simulated engine and its load on one machine."""
