"""The plugins with the fixtures of each backend; pytest has to be the first to import them, so they stand by name"""

from __future__ import annotations

BACKEND_PLUGINS = [f'support.{name}_fixtures' for name in ('backend', 'dynamodb', 'mongodb', 'redis')]
