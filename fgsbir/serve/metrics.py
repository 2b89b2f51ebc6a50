"""Metrics of a server for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)


class Metrics:
    """The metrics of one server.

    Args:
        photos: number of photos in its index.
    """

    def __init__(self, photos: int) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "fgsbir_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.rejected = Counter("fgsbir_rejected", "Requests refused, by reason", ("reason",), registry=self.registry)
        self.in_flight = Gauge("fgsbir_in_flight", "Requests being answered", registry=self.registry)
        self.seconds = Histogram(
            "fgsbir_request_seconds", "Time to answer", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self._stages = Histogram(
            "fgsbir_stage_seconds",
            "Time of a stage: wait (in the queue), encode, first, match; explain; read (a file)",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        Gauge("fgsbir_photos", "Photos in the index", registry=self.registry).set(photos)

    def stage(self, name: str, milliseconds: float) -> None:
        """Records the time of a stage."""
        self._stages.labels(name).observe(milliseconds / 1000)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)
