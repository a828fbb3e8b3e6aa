"""Names of the plugins with the fixtures of each backend; they are not imported here, because pytest must do that"""

from __future__ import annotations

BACKEND_PLUGINS = [f'support.{name}_fixtures' for name in ('backend', 'dynamodb', 'mongodb', 'redis')]
