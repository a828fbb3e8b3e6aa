"""A subscriber that reports events to OpenTelemetry, as metrics and as attributes of spans

There are no semantic conventions for caches yet. As the naming rules ask for in this case, the names have a namespace
of their own. `http.request.method` and `http.response.status_code` follow the conventions for HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.events import Event
from ..exceptions import MissingDependencyError
from .values import BYTES_BUCKETS, SECONDS_BUCKETS, fields_of, kind_of, method_of

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

NAMESPACE = 'requests_cache'


class OpenTelemetrySubscriber:
    """Counts and measures events, and adds their fields to the current span

    These are the metrics:

    * `requests_cache.requests`, by `requests_cache.kind`, `requests_cache.reason`, `http.request.method` and
      `http.response.status_code`
    * `requests_cache.events`, for all other events, by `requests_cache.kind` and `requests_cache.reason`
    * `requests_cache.request.duration`, a histogram in seconds, by `requests_cache.kind`
    * `requests_cache.response.size`, a histogram in bytes, by `requests_cache.kind`

    The fields of an event become attributes of the span in which the request is made: `requests_cache.kind`,
    `requests_cache.url` and so on. If several requests are made in one span, it has the
    attributes of the last one.

    Args:
        meter_provider: The provider of the instruments; by default the global one
        span_attributes: Whether to add attributes to the current span

    Raises:
        MissingDependencyError: opentelemetry-api is not installed
    """

    def __init__(self, meter_provider: MeterProvider | None = None, span_attributes: bool = True):
        try:
            from opentelemetry import metrics, trace
        except ImportError as e:
            raise MissingDependencyError('OpenTelemetrySubscriber', 'opentelemetry', 'opentelemetry') from e
        self._current_span = trace.get_current_span if span_attributes else None
        meter = metrics.get_meter(NAMESPACE, meter_provider=meter_provider)
        self._requests = meter.create_counter(
            f'{NAMESPACE}.requests', '{request}', 'Requests by their result'
        )  # fmt: skip
        self._events = meter.create_counter(f'{NAMESPACE}.events', '{event}', 'Other events in the cache')
        self._duration = meter.create_histogram(
            f'{NAMESPACE}.request.duration',
            's',
            'Duration of requests',
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self._size = meter.create_histogram(
            f'{NAMESPACE}.response.size',
            'By',
            'Size of response bodies',
            explicit_bucket_boundaries_advisory=BYTES_BUCKETS,
        )

    def __call__(self, event: Event) -> None:
        kind: dict[str, Any] = {f'{NAMESPACE}.kind': kind_of(event)}
        reason = {f'{NAMESPACE}.reason': event.reason} if event.reason else {}
        if not event.kind.is_result:
            self._events.add(1, {**kind, **reason})
            return
        attributes = {**kind, **reason, 'http.request.method': method_of(event)}
        if event.status is not None:
            attributes['http.response.status_code'] = event.status
        self._requests.add(1, attributes)
        if event.seconds is not None:
            self._duration.record(event.seconds, kind)
        if event.bytes is not None:
            self._size.record(event.bytes, kind)
        if self._current_span is not None and (span := self._current_span()).is_recording():
            span.set_attributes({f'{NAMESPACE}.{name}': value for name, value in fields_of(event).items()})
