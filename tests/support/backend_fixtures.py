"""Keywords of sessions on each backend, with a server where it needs one

Load this with `pytest_plugins = BACKEND_PLUGINS` of `backend_plugins`, and parametrize tests with a `name`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults.local_caches import LOCAL

from support.dynamodb_server import DynamoDbServer
from support.mongodb_server import MongoServer
from support.redis_server import RedisServer


@pytest.fixture
def backend_options(name: str, request: pytest.FixtureRequest, cache_path: Path) -> dict[str, Any]:
    """Keywords of a session on an empty store of the backend `name`; all values are plain"""
    if name in LOCAL:
        return {'cache_name': str(cache_path), **LOCAL[name]}
    if name == 'redis':
        redis: RedisServer = request.getfixturevalue('redis_server')
        return {'backend': name, 'port': redis.port}
    if name == 'dynamodb':
        dynamodb: DynamoDbServer = request.getfixturevalue('server')
        return {'backend': name, **{k: v for k, v in dynamodb.options.items() if k != 'config'}}
    mongodb: MongoServer = request.getfixturevalue('mongodb_server')
    return {'cache_name': request.getfixturevalue('mongodb_name'), 'backend': name, 'port': mongodb.port}
