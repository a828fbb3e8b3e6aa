"""Ready-made subscribers: `session.subscribe(PrometheusSubscriber())`

A subscriber imports its library when you create it.
"""

from .logging import LoggingSubscriber
from .opentelemetry import OpenTelemetrySubscriber
from .prometheus import PrometheusSubscriber
from .structlog import StructlogSubscriber

__all__ = ['LoggingSubscriber', 'OpenTelemetrySubscriber', 'PrometheusSubscriber', 'StructlogSubscriber']
