"""Values of events as fields of log records, and as labels of metrics, which must not have many values"""

from __future__ import annotations

from typing import Any

from attrs import asdict

from ..engine.events import Event

# Methods of HTTP (RFC 9110, RFC 5789, and QUERY); clients can invent others
KNOWN_METHODS = frozenset(
    ('CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE')
)  # fmt: skip
# OpenTelemetry's name for all other methods
OTHER_METHOD = '_OTHER'
# A hit takes a fraction of a millisecond, but a request to the origin can take many seconds
SECONDS_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BYTES_BUCKETS = tuple(4**n for n in range(4, 14))  # 256 bytes to 64 MiB


def kind_of(event: Event) -> str:
    """The kind as one word, such as `stale_hit`"""
    return event.kind.value.replace(' ', '_')


def method_of(event: Event) -> str:
    """The method of the request, or `_OTHER` if it is not a known one; empty if there is none"""
    if event.method is None:
        return ''
    return event.method if event.method in KNOWN_METHODS else OTHER_METHOD


def status_class_of(event: Event) -> str:
    """The class of the status, such as `2xx`; empty if there is none"""
    return f'{event.status // 100}xx' if event.status is not None else ''


def fields_of(event: Event) -> dict[str, Any]:
    """All fields that have a value, as plain values that any log format can hold"""
    fields = asdict(event, filter=lambda attribute, value: value is not None)
    fields['kind'] = kind_of(event)
    if event.expires is not None:
        fields['expires'] = event.expires.isoformat(timespec='seconds')
    return fields
