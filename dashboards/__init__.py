"""Grafana dashboards: the JSON files that Grafana imports, and the program that builds them (``make dashboards``)."""
