"""What Prometheus is told."""

from .exposition import Exposition, Scrape

__all__ = ["Exposition", "Scrape"]
