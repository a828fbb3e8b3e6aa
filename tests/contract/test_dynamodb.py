"""The contract suites on DynamoDB: over HTTP, and in this process"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest
from support.dynamodb_server import CLOSED_PORT, CREDENTIALS, DynamoDbServer

from requests_cache.backends.dynamodb import DynamoDbCache, DynamoDbDict
from requests_cache.backends.dynamodb import storage as dynamodb_storage
from requests_cache.backends.dynamodb.items import REDIRECT
from requests_cache.backends.dynamodb.redirects import DynamoDbRedirects
from requests_cache.testing import BackendContract, StandardRules
from requests_cache.testing.rules.sealing import SEALED, Sealed
from requests_cache.testing.values import closing_all

pytest_plugins = ['support.dynamodb_fixtures']


@pytest.fixture(scope='module')
def resource_in_process() -> Iterator[Any]:
    boto3, moto = pytest.importorskip('boto3'), pytest.importorskip('moto')
    lock = Lock()
    with moto.mock_aws():
        resource = boto3.resource('dynamodb', **CREDENTIALS)
        call = resource.meta.client._make_api_call

        def one_at_a_time(*args: Any) -> Any:
            # Moto does not keep two requests for the same item apart, as the service does
            with lock:
                return call(*args)

        resource.meta.client._make_api_call = one_at_a_time
        yield resource


@pytest.fixture
def table_name() -> str:
    return f'contract-{uuid4().hex}'


class OnDynamoDb:
    """Storages and caches with the keywords of the fixture `options`"""

    namespace = 'default'
    sealing: dict[str, Any] = {}

    @pytest.fixture
    def options(self, server: DynamoDbServer) -> dict[str, Any]:
        return server.options

    @pytest.fixture
    def place(self, options: dict[str, Any], table_name: str) -> dict[str, Any]:
        return {'table_name': table_name, 'namespace': self.namespace, **options}

    def open_storage(self, place: dict[str, Any], kind: str = 'responses', **kwargs: Any) -> Any:
        sealing = {} if 'serializer' in kwargs else self.sealing
        storage = DynamoDbDict(**{**place, **sealing, **kwargs})
        return storage if kind == 'responses' else DynamoDbRedirects(storage._access, self.namespace)

    def open_cache(self, place: dict[str, Any], **kwargs: Any) -> DynamoDbCache:
        return DynamoDbCache(**{**place, **self.sealing, **kwargs})


class DynamoDbContract(OnDynamoDb, BackendContract):
    lacks = {
        'bounds': 'the service cannot tell what was used when',
        'deletion of expired entries': 'the service does that by its TTL, some time later',
    }
    damaged = (*BackendContract.damaged, {}, {'status_code': 'many'}, {'created_at': 5}, ['list'], 5, True)
    many = 140
    examples = 6

    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dynamodb_storage, 'KEYS_PER_PAGE', 40)
        monkeypatch.setattr(dynamodb_storage, 'CHUNK_SIZE', 40)

    @pytest.fixture
    def broken_storage(self, table_name: str) -> Iterator[Any]:
        with closing_all(DynamoDbDict) as factory:
            yield factory(table_name, endpoint_url=CLOSED_PORT, **CREDENTIALS)

    def fill(self, storage: Any, entries: dict[str, Any]) -> None:
        items = ({**storage._keys.item(REDIRECT, k), 'value': None, 'target': v} for k, v in entries.items())
        storage._access.batch_write({'PutRequest': {'Item': item}} for item in items)


class TestDynamoDb(DynamoDbContract):
    pass


class TestDynamoDbInProcess(Sealed, DynamoDbContract):
    """Moto instead of the driver's HTTP client, a shared resource, a namespace, and entries that are text or bytes

    All entries are sealed, unless a test asks for a serializer.
    """

    serializers = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson')
    damaged = BackendContract.damaged
    namespace = 'name~:space: ключ/1'
    sealing = SEALED
    lacks = DynamoDbContract.lacks
    # A child process writes to its own copy of moto's tables
    test_a_forked_child = None

    @pytest.fixture
    def options(self, resource_in_process: Any) -> dict[str, Any]:
        return {'connection': resource_in_process, 'serializer': 'pickle'}


class TestStandardOnDynamoDb(OnDynamoDb, StandardRules):
    pass
