"""Metrics for Prometheus."""

from .exposition import Exposition, Scrape

__all__ = ["Exposition", "Scrape"]
