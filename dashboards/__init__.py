"""Grafana dashboards: the JSON that Grafana imports, and the program that builds it (``make dashboards``)."""
