"""The contract, kept in DynamoDB: over HTTP, and in this process"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest
from support.dynamodb_server import CLOSED_PORT, CREDENTIALS, DynamoDbServer

from contract.sealing_rules import SEALED, Sealed
from contract.standard_rules import StandardRules
from contract.storage_contract import StorageContract
from contract.values import closing_all
from requests_cache.backends.dynamodb import DynamoDbCache, DynamoDbDict
from requests_cache.backends.dynamodb import storage as dynamodb_storage
from requests_cache.backends.dynamodb.items import REDIRECT
from requests_cache.backends.dynamodb.redirects import DynamoDbRedirects

pytest_plugins = ['support.dynamodb_fixtures']


@pytest.fixture(scope='module')
def resource_in_process() -> Iterator[Any]:
    boto3, moto = pytest.importorskip('boto3'), pytest.importorskip('moto')
    lock = Lock()
    with moto.mock_aws():
        resource = boto3.resource('dynamodb', **CREDENTIALS)
        call = resource.meta.client._make_api_call

        def one_at_a_time(*args: Any) -> Any:
            # What keeps two requests for one item apart in the service, moto does not have
            with lock:
                return call(*args)

        resource.meta.client._make_api_call = one_at_a_time
        yield resource


@pytest.fixture
def table_name() -> str:
    return f'contract-{uuid4().hex}'


class DynamoDbContract(StorageContract):
    """Storages and caches by the keywords that the fixture `options` gives"""

    damaged = (*StorageContract.damaged, {}, {'status_code': 'many'}, {'created_at': 5}, ['list'], 5, True)
    namespace = 'default'
    sealing: dict[str, Any] = {}
    can_be_bounded = False
    # The server does that
    deletes_expired = False
    many = 140
    examples = 6

    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dynamodb_storage, 'KEYS_PER_PAGE', 40)
        monkeypatch.setattr(dynamodb_storage, 'CHUNK_SIZE', 40)

    @pytest.fixture
    def storage_factory(self, options: dict[str, Any], table_name: str) -> Iterator[Any]:
        def make(kind: str = 'responses', **kwargs: Any) -> Any:
            sealing = {} if 'serializer' in kwargs else self.sealing
            storage = DynamoDbDict(table_name, namespace=self.namespace, **{**options, **sealing, **kwargs})
            return storage if kind == 'responses' else DynamoDbRedirects(storage._access, self.namespace)

        with closing_all(make) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self, options: dict[str, Any], table_name: str) -> Iterator[Any]:
        def make(**kwargs: Any) -> Any:
            return DynamoDbCache(table_name, namespace=self.namespace, **{**options, **self.sealing, **kwargs})

        with closing_all(make) as factory:
            yield factory

    @pytest.fixture
    def broken_storage(self, table_name: str) -> Iterator[Any]:
        with closing_all(DynamoDbDict) as factory:
            yield factory(table_name, endpoint_url=CLOSED_PORT, **CREDENTIALS)

    def fill(self, storage: Any, entries: dict[str, Any]) -> None:
        items = ({**storage._keys.item(REDIRECT, k), 'value': None, 'target': v} for k, v in entries.items())
        storage._access.batch_write({'PutRequest': {'Item': item}} for item in items)


class TestDynamoDb(DynamoDbContract):
    @pytest.fixture
    def options(self, server: DynamoDbServer) -> dict[str, Any]:
        return server.options


class TestDynamoDbInProcess(Sealed, DynamoDbContract):
    """Moto in place of the driver's HTTP client, one resource for all, a namespace, entries that are text or bytes

    And all of them are sealed, unless a test asks for a serializer.
    """

    serializers = ('pickle', 'json', 'orjson', 'ujson', 'yaml', 'bson')
    damaged = StorageContract.damaged
    namespace = 'name~:space: ключ/1'
    sealing = SEALED
    # What a child writes, goes to its own copy of moto's tables
    test_a_forked_child = None
    test_a_changed_character_is_noticed = DynamoDbContract.test_a_changed_character_is_noticed

    @pytest.fixture
    def options(self, resource_in_process: Any) -> dict[str, Any]:
        return {'connection': resource_in_process, 'serializer': 'pickle'}


class TestStandardOnDynamoDb(StandardRules):
    namespace = DynamoDbContract.namespace
    sealing = DynamoDbContract.sealing
    options = TestDynamoDb.options
    cache_factory = DynamoDbContract.cache_factory
