"""The former place of `sidecar.time_slice`."""

from __future__ import annotations

from sidecar.time_slice import TimeSlice

__all__ = ["TimeSlice"]
