"""A subscriber that counts events in metrics for Prometheus"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..engine.events import Event
from ..exceptions import MissingDependencyError
from .values import BYTES_BUCKETS, SECONDS_BUCKETS, kind_of, method_of, status_class_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class PrometheusSubscriber:
    """Counts events, and measures how long requests take and how large their bodies are

    Create one, and subscribe it to all sessions that you want to count together. These are the metrics:

    * `requests_cache_requests_total`, by `kind`, `reason`, `method` and `status` (`2xx`)
    * `requests_cache_events_total`, for all other events, by `kind` and `reason`
    * `requests_cache_request_seconds`, a histogram, by `kind`
    * `requests_cache_response_bytes`, a histogram, by `kind`

    Args:
        registry: Where the metrics are registered; by default `prometheus_client.REGISTRY`
        namespace: The prefix of their names
        seconds_buckets: Upper bounds of the buckets for durations, in seconds
        bytes_buckets: Upper bounds of the buckets for sizes of bodies, in bytes

    Raises:
        MissingDependencyError: prometheus-client is not installed
        ValueError: Metrics with these names are already registered
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        namespace: str = 'requests_cache',
        seconds_buckets: Sequence[float] = SECONDS_BUCKETS,
        bytes_buckets: Sequence[float] = BYTES_BUCKETS,
    ):
        try:
            from prometheus_client import REGISTRY, Counter, Histogram
        except ImportError as e:
            raise MissingDependencyError('PrometheusSubscriber', 'prometheus_client', 'prometheus') from e
        registry = REGISTRY if registry is None else registry
        self._requests = Counter(
            f'{namespace}_requests',
            'Requests by their result',
            ('kind', 'reason', 'method', 'status'),
            registry=registry,
        )
        self._events = Counter(
            f'{namespace}_events', 'Other events in the cache', ('kind', 'reason'), registry=registry
        )
        self._seconds = Histogram(
            f'{namespace}_request_seconds',
            'Duration of requests',
            ('kind',),
            registry=registry,
            buckets=seconds_buckets,
        )
        self._bytes = Histogram(
            f'{namespace}_response_bytes',
            'Size of response bodies',
            ('kind',),
            registry=registry,
            buckets=bytes_buckets,
        )

    def __call__(self, event: Event) -> None:
        kind, reason = kind_of(event), event.reason or ''
        if not event.kind.is_result:
            self._events.labels(kind, reason).inc()
            return
        self._requests.labels(kind, reason, method_of(event), status_class_of(event)).inc()
        if event.seconds is not None:
            self._seconds.labels(kind).observe(event.seconds)
        if event.bytes is not None:
            self._bytes.labels(kind).observe(event.bytes)
