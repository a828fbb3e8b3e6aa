"""Ready-made subscribers: `session.subscribe(PrometheusSubscriber())`

The library of each is imported when it is made, and not before.
"""

from .logging import LoggingSubscriber
from .opentelemetry import OpenTelemetrySubscriber
from .prometheus import PrometheusSubscriber
from .structlog import StructlogSubscriber

__all__ = ['LoggingSubscriber', 'OpenTelemetrySubscriber', 'PrometheusSubscriber', 'StructlogSubscriber']
