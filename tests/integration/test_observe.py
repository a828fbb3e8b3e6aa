"""The ready-made subscribers, each with the library that it is for"""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from typing import Any

import opentelemetry.sdk.metrics
import opentelemetry.sdk.trace
import prometheus_client
import pytest
import structlog
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from requests_cache.engine.events import Event, EventKind
from requests_cache.observe import (
    LoggingSubscriber,
    OpenTelemetrySubscriber,
    PrometheusSubscriber,
    StructlogSubscriber,
)
from requests_cache.observe.values import KNOWN_METHODS
from requests_cache.testing.origin import answer

SECRET = 'hunter2'


@pytest.fixture
def use(session, origin) -> Any:
    """A miss, a hit, one that is not stored, and one that is not cached; the URLs hold a secret"""

    def use() -> str:
        origin.default = answer(404)
        origin.add('/page', body='x' * 1000)
        for path in ('/page', '/page', '/nothing'):
            session.get(origin.url(f'{path}?api_key={SECRET}'))
        session.post(origin.url('/nothing'))
        return f'{origin.url("/page")}?api_key=REDACTED'

    return use


# logging


def test_logging(session, use, caplog):
    session.subscribe(LoggingSubscriber())
    url = use()
    records = [record for record in caplog.records if record.name == 'requests_cache.events']
    assert [record.levelname for record in records] == ['INFO'] * 6
    hit = next(record for record in records if record.cache_kind == 'hit')
    assert hit.getMessage().startswith(f'hit: GET {url} (because: fresh, status 200, 1000 bytes, ')
    assert (hit.cache_url, hit.cache_reason, hit.cache_status, hit.cache_bytes) == (url, 'fresh', 200, 1000)
    assert not hasattr(hit, 'cache_error')
    assert SECRET not in ''.join(str(record.__dict__) for record in records)


def test_logging_elsewhere(session, use, caplog):
    session.subscribe(LoggingSubscriber(logging.getLogger('mine'), logging.WARNING))
    session.subscribe(LoggingSubscriber('theirs', logging.DEBUG))
    logging.getLogger('theirs').setLevel(logging.INFO)
    use()
    logged = [(record.name, record.levelname) for record in caplog.records if record.name in ('mine', 'theirs')]
    assert logged == [('mine', 'WARNING')] * 6


# structlog


@pytest.fixture
def configured() -> Any:
    output = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    structlog.reset_defaults()


def test_structlog(session, use, configured):
    session.subscribe(StructlogSubscriber())
    session.settings.expire_after = 1000
    url = use()
    entries = configured()
    assert [entry['event'] for entry in entries] == [
        'requests_cache.stored', 'requests_cache.miss', 'requests_cache.hit', 'requests_cache.not_stored',
        'requests_cache.miss', 'requests_cache.bypassed',
    ]  # fmt: skip
    hit = entries[2]
    assert (hit['url'], hit['reason'], hit['status'], hit['bytes'], hit['level']) == (url, 'fresh', 200, 1000, 'info')
    assert hit['expires'].endswith('+00:00')
    assert 'error' not in hit
    assert SECRET not in json.dumps(entries)


def test_structlog_with_a_logger_of_ones_own(session, use):
    with structlog.testing.capture_logs() as entries:
        session.subscribe(StructlogSubscriber(structlog.get_logger().bind(service='a'), level='debug'))
        use()
    assert {(entry['log_level'], entry['service']) for entry in entries} == {('debug', 'a')}


# Prometheus


def test_prometheus(session, use):
    registry = prometheus_client.CollectorRegistry()
    session.subscribe(PrometheusSubscriber(registry))
    url = use()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f'requests_cache_{name}', labels)

    assert value('requests_total', kind='miss', reason='not stored', method='GET', status='2xx') == 1
    assert value('requests_total', kind='miss', reason='not stored', method='GET', status='4xx') == 1
    assert value('requests_total', kind='hit', reason='fresh', method='GET', status='2xx') == 1
    assert value('requests_total', kind='bypassed', reason='method', method='POST', status='4xx') == 1
    assert value('events_total', kind='stored', reason='') == 1
    assert value('events_total', kind='not_stored', reason='status') == 1
    assert (value('request_seconds_count', kind='miss'), value('request_seconds_count', kind='hit')) == (2, 1)
    assert value('request_seconds_sum', kind='hit') > 0
    assert value('response_bytes_sum', kind='hit') == 1000
    assert value('response_bytes_bucket', kind='hit', le='1024.0') == 1
    assert value('response_bytes_bucket', kind='hit', le='256.0') == 0
    exposed = prometheus_client.generate_latest(registry).decode()
    assert SECRET not in exposed
    assert url not in exposed


def test_one_prometheus_subscriber_for_many_sessions(session, new_session, origin):
    registry = prometheus_client.CollectorRegistry()
    subscriber = PrometheusSubscriber(registry, namespace='mine', seconds_buckets=[1, 2], bytes_buckets=[3])
    for each in (session, new_session(backend='memory')):
        each.subscribe(subscriber)
        each.get(origin.url('/nothing'))
    labels = {'kind': 'miss', 'reason': 'not stored', 'method': 'GET', 'status': '4xx'}
    assert registry.get_sample_value('mine_requests_total', labels) == 2
    with pytest.raises(ValueError, match='Duplicated'):
        PrometheusSubscriber(registry, namespace='mine')


def test_prometheus_registers_with_the_global_registry_unless_told_otherwise():
    code = (
        'import prometheus_client as p, requests_cache.observe as o\n'
        'o.PrometheusSubscriber()\n'
        'print("requests_cache_requests" in [m.name for m in p.REGISTRY.collect()])'
    )
    done = subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True, text=True)
    assert done.stdout == 'True\n', done.stderr


# OpenTelemetry


class Telemetry:
    """Metrics and spans of OpenTelemetry, kept in memory"""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meter_provider = opentelemetry.sdk.metrics.MeterProvider([self.reader])
        self.exporter = InMemorySpanExporter()
        tracer_provider = opentelemetry.sdk.trace.TracerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracer_provider.get_tracer('test')

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        assert {scope.scope.name for scope in scopes} == {'requests_cache'}
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The data points of a metric by the values of their attributes, in alphabetical order of their names"""
        points = self.metrics()[name].data.data_points
        return {tuple(value for _, value in sorted(point.attributes.items())): point for point in points}


@pytest.fixture
def telemetry() -> Any:
    telemetry = Telemetry()
    yield telemetry
    telemetry.meter_provider.shutdown()


def test_opentelemetry_metrics(session, use, telemetry):
    session.subscribe(OpenTelemetrySubscriber(telemetry.meter_provider))
    url = use()
    requests = {key: point.value for key, point in telemetry.points('requests_cache.requests').items()}
    assert requests == {
        ('GET', 200, 'miss', 'not stored'): 1,
        ('GET', 200, 'hit', 'fresh'): 1,
        ('GET', 404, 'miss', 'not stored'): 1,
        ('POST', 404, 'bypassed', 'method'): 1,
    }
    events = {key: point.value for key, point in telemetry.points('requests_cache.events').items()}
    assert events == {('stored',): 1, ('not_stored', 'status'): 1}
    durations = telemetry.points('requests_cache.request.duration')
    assert {key: point.count for key, point in durations.items()} == {('miss',): 2, ('hit',): 1, ('bypassed',): 1}
    assert durations['hit',].explicit_bounds[0] == 0.0001
    sizes = telemetry.points('requests_cache.response.size')
    assert (sizes['hit',].sum, sizes['hit',].explicit_bounds[0]) == (1000, 256)
    units = {metric.name: metric.unit for metric in telemetry.metrics().values()}
    assert (units['requests_cache.request.duration'], units['requests_cache.response.size']) == ('s', 'By')
    exposed = telemetry.reader.get_metrics_data() or telemetry.metrics()
    assert SECRET not in str(exposed)
    assert url not in str(exposed)


@pytest.mark.parametrize('span_attributes', [True, False])
def test_opentelemetry_spans(session, use, origin, telemetry, span_attributes):
    session.subscribe(OpenTelemetrySubscriber(telemetry.meter_provider, span_attributes))
    url = use()
    with telemetry.tracer.start_as_current_span('handler', attributes={'http.request.method': 'POST'}):
        session.get(origin.url(f'/page?api_key={SECRET}'))
    (span,) = telemetry.exporter.get_finished_spans()
    attributes = dict(span.attributes)
    assert attributes.pop('http.request.method') == 'POST'  # is that of the span's own request
    assert bool(attributes) is span_attributes
    if span_attributes:
        own = {name.removeprefix('requests_cache.'): value for name, value in attributes.items()}
        assert (own['kind'], own['reason'], own['url'], own['bytes'], own['status']) == ('hit', 'fresh', url, 1000, 200)
        assert {'age', 'key', 'seconds'} <= set(own)
        assert SECRET not in str(attributes)


def test_opentelemetry_without_an_sdk(session, use, origin):
    """The API alone does nothing, and harms nobody"""
    session.subscribe(OpenTelemetrySubscriber())
    use()
    assert session.stats.hits == 1


# Labels


@pytest.mark.parametrize('kind', list(EventKind))
def test_labels_are_few(kind, telemetry):
    """Whatever servers and callers come up with"""
    registry = prometheus_client.CollectorRegistry()
    subscribers = [PrometheusSubscriber(registry), OpenTelemetrySubscriber(telemetry.meter_provider)]
    for n in range(100):
        for subscriber in subscribers:
            event = Event(
                kind=kind, method=f'METHOD-{n}', url=f'http://h{n}/', key=f'{n}', status=200 + n % 3, error=f'{n}',
                age=n, seconds=n, bytes=n,
            )  # fmt: skip
            subscriber(event)
    samples = [sample for metric in registry.collect() for sample in metric.samples if sample.name.endswith('_total')]
    assert [sample.value for sample in samples] == [100]
    name = 'requests' if kind.is_result else 'events'
    assert len(telemetry.points(f'requests_cache.{name}')) <= 3
    assert str(kind).replace(' ', '_') in samples[0].labels.values()


def test_all_methods_of_http_are_told_apart():
    registry = prometheus_client.CollectorRegistry()
    subscriber = PrometheusSubscriber(registry)
    for method in [*KNOWN_METHODS, 'get', None]:
        subscriber(Event(kind=EventKind.MISS, method=method))
    (requests,) = (metric for metric in registry.collect() if metric.name == 'requests_cache_requests')
    methods = {sample.labels['method'] for sample in requests.samples if sample.name.endswith('_total')}
    assert methods == {*KNOWN_METHODS, '_OTHER', ''}


# Without the libraries


@pytest.mark.parametrize(
    ('library', 'name', 'extra'),
    [
        ('prometheus_client', 'PrometheusSubscriber', 'prometheus'),
        ('opentelemetry', 'OpenTelemetrySubscriber', 'opentelemetry'),
        ('structlog', 'StructlogSubscriber', 'structlog'),
    ],
)
def test_what_is_to_be_installed(library, name, extra):
    code = (
        f'import sys; sys.modules[{library!r}] = None\n'
        'import requests_cache.observe as observe\n'
        'observe.LoggingSubscriber()\n'
        f'observe.{name}()'
    )
    done = subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        f'requests_cache.exceptions.MissingDependencyError: {name} needs the library {library!r}; '
        f"install it with: pip install 'requests-cache[{extra}]'"
    )


def test_libraries_are_loaded_when_subscribers_are_made():
    code = (
        'import sys, requests_cache.observe\n'
        "print({'prometheus_client', 'opentelemetry', 'structlog'} & {n.partition('.')[0] for n in sys.modules})"
    )
    done = subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True, text=True)
    assert done.stdout == 'set()\n', done.stderr


def test_many_subscribers_at_once(session, use, telemetry):
    registry = prometheus_client.CollectorRegistry()
    for subscriber in (
        LoggingSubscriber(), StructlogSubscriber(structlog.get_logger()), PrometheusSubscriber(registry),
        OpenTelemetrySubscriber(telemetry.meter_provider),
    ):  # fmt: skip
        session.subscribe(subscriber)
    with structlog.testing.capture_logs() as entries:
        use()
    assert len(entries) == 6
    assert sum(point.value for point in telemetry.points('requests_cache.requests').values()) == 4
