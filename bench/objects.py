"""The series of an exposition, held by prometheus_client's own objects and served by its own application.

``WELLBEING_BENCH_SERIES`` names the file with the exposition.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    make_wsgi_app,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_COLLECTED = ("process_", "python_gc_")


def hold(families: Iterable[Metric]) -> CollectorRegistry:
    """A registry of objects with the same series and values; histograms have observed nothing."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    for family in families:
        if not family.name.startswith(_COLLECTED) and family.samples:
            _hold_one(family, registry)
    return registry


def _hold_one(family: Metric, registry: CollectorRegistry) -> None:
    if family.type == "histogram":
        _hold_histogram(family, registry)
        return
    names = list(family.samples[0].labels)
    if family.type == "counter":
        counter = Counter(family.name, family.documentation, names, registry=registry)
        for sample in family.samples:
            (counter.labels(**sample.labels) if names else counter).inc(sample.value)
    else:
        gauge = Gauge(family.name, family.documentation, names, registry=registry)
        for sample in family.samples:
            (gauge.labels(**sample.labels) if names else gauge).set(sample.value)


def _hold_histogram(family: Metric, registry: CollectorRegistry) -> None:
    samples = [one for one in family.samples if one.name.endswith("_bucket")]
    names = [name for name in samples[0].labels if name != "le"]
    bounds = sorted({float(one.labels["le"]) for one in samples})
    histogram = Histogram(family.name, family.documentation, names, buckets=bounds, registry=registry)
    if names:
        for sample in samples:
            histogram.labels(**{name: sample.labels[name] for name in names})


def app() -> Application:
    """The application for gunicorn."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    text = Path(os.environ["WELLBEING_BENCH_SERIES"]).read_text()
    inner: Application = make_wsgi_app(hold(text_string_to_metric_families(text)))

    def with_length(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        told: list[Any] = []
        body = b"".join(inner(environ, lambda *status_and_headers: told.extend(status_and_headers)))
        status, headers = told
        start(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return with_length
