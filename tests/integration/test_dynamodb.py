"""DynamoDB as its users know it: keywords, tables, clients, old caches, sessions"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from support.dynamodb_server import CREDENTIALS, DynamoDbServer

from requests_cache import BaseCache, CachedSession, DynamoDbCache, DynamoDbDict, init_backend
from requests_cache.backends import dynamodb as module
from requests_cache.exceptions import BackendError, MissingDependencyError
from requests_cache.testing.origin import Origin
from requests_cache.testing.rules.redirects import save_chain
from requests_cache.testing.values import FUTURE, PAST, facts, make_response

pytest_plugins = ['support.dynamodb_fixtures']

RECORDED = json.loads((Path(__file__).parents[1] / 'data' / 'dynamodb_1.3.3.json').read_text('utf-8'))
REDACTED = ('q=a%20b&api_key=SECRET', 'api_key=REDACTED&q=a+b')
JSON = b'{"id": 12345678901234567890, "price": 1.10, "tags": ["a", null], "name": "\\u00e9"}\n'


@pytest.fixture
def resource_factory() -> Iterator[mock.Mock]:
    with mock.patch('requests_cache.backends.dynamodb.boto3.resource') as replaced:
        yield replaced


class TestKeywords:
    @pytest.mark.parametrize(
        ('name', 'value'),
        [
            ('region_name', 'eu-west-1'),
            ('api_version', '2012-08-10'),
            ('use_ssl', False),
            ('verify', '/path/to/ca.pem'),
            ('verify', False),
            ('endpoint_url', 'http://localhost:8000'),
            ('aws_access_key_id', 'id'),
            ('aws_secret_access_key', 'secret'),
            ('aws_session_token', 'token'),
            ('use_ssl', None),
        ],
    )
    def test_those_of_a_resource_reach_it(self, name: str, value: Any, resource_factory: mock.Mock) -> None:
        DynamoDbDict('table', **{name: value}, no_such_option=1, expire_after=5)
        assert resource_factory.call_args.args == ('dynamodb',)
        given = dict(resource_factory.call_args.kwargs)
        assert isinstance(given.pop('config'), Config)
        assert given == {name: value}

    def test_those_that_say_nothing_are_left_out(self, resource_factory: mock.Mock) -> None:
        DynamoDbDict('table', region_name=None, aws_access_key_id=None, config=None, no_such_option=None)
        assert set(resource_factory.call_args.kwargs) == {'config'}

    def test_those_of_a_session_reach_it(self) -> None:
        keywords = {
            'profile_name': 'work',
            'aws_access_key_id': 'id',
            'aws_secret_access_key': 'secret',
            'aws_session_token': 'token',
            'aws_account_id': '123456789012',
            'botocore_session': mock.sentinel.session,
            'region_name': 'eu-west-1',
        }
        with mock.patch('boto3.Session') as session:
            DynamoDbDict('table', **keywords, endpoint_url='http://localhost:8000', verify=False)
        assert session.call_args == mock.call(**keywords)
        given = dict(session.return_value.resource.call_args.kwargs)
        del given['config']
        assert given == {'endpoint_url': 'http://localhost:8000', 'verify': False}

    def test_a_profile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: DynamoDbServer) -> None:
        profile = '[profile work]\naws_access_key_id = id\naws_secret_access_key = x\nregion = eu-west-3\n'
        (tmp_path / 'config').write_text(profile)
        monkeypatch.setenv('AWS_CONFIG_FILE', str(tmp_path / 'config'))
        cache = DynamoDbCache('mine', profile_name='work', endpoint_url=server.url)
        cache.responses['key'] = make_response(1)
        assert cache.responses.connection.meta.client.meta.region_name == 'eu-west-3'
        cache.close()

    def test_time_limits_are_finite_and_those_of_the_user_go_first(self, make_cache: Any) -> None:
        def settings(**kwargs: Any) -> Any:
            return make_cache('mine', **{'config': None, **kwargs}).responses.connection.meta.client.meta.config

        default = settings()
        assert 0 < default.connect_timeout <= 10
        assert 0 < default.read_timeout <= 10
        assert default.retries['total_max_attempts'] <= 3
        own = settings(config=Config(read_timeout=77, retries={'mode': 'adaptive'}, tcp_keepalive=True))
        assert (own.read_timeout, own.retries['mode'], own.tcp_keepalive) == (77, 'adaptive', True)
        assert own.connect_timeout == default.connect_timeout

    def test_what_boto3_cannot_use(self) -> None:
        for keywords in ({'profile_name': 'no such profile'}, {'endpoint_url': 'nonsense', **CREDENTIALS}):
            with pytest.raises(BackendError) as caught:
                DynamoDbCache('mine', **keywords)
            assert caught.value.__cause__ is not None

    def test_owned_keywords(self) -> None:
        assert DynamoDbCache.owned_keywords() >= {
            *('table_name', 'create_table', 'ttl', 'connection', 'decode_content', 'serializer', 'namespace'),
            *(
                'large_body_bytes',
                'large_items',
                'region_name',
                'endpoint_url',
                'aws_access_key_id',
                'aws_secret_access_key',
                'verify',
            ),
            *('aws_session_token', 'profile_name', 'botocore_session', 'config', 'use_ssl', 'api_version'),
        }

    def test_unknown_keywords_are_reported(self, make_session: Any, caplog: pytest.LogCaptureFixture) -> None:
        make_session('mine', region_nam='x', profile_name=None, large_items=False)
        warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warned) == 1
        assert 'region_nam' in warned[0]


class TestRegions:
    @pytest.fixture(autouse=True)
    def no_default_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(boto3, 'DEFAULT_SESSION', None)

    def region(self, **kwargs: Any) -> str:
        keywords = {k: v for k, v in CREDENTIALS.items() if k != 'region_name'}
        cache = DynamoDbCache('mine', create_table=False, ttl=False, **keywords, **kwargs)
        return str(cache.responses.connection.meta.client.meta.region_name)

    def test_us_east_1_when_nothing_names_one(self) -> None:
        assert self.region() == self.region(region_name=None) == 'us-east-1'

    def test_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('AWS_DEFAULT_REGION', 'eu-central-1')
        assert self.region() == self.region(region_name=None) == 'eu-central-1'
        assert self.region(region_name='eu-west-1') == 'eu-west-1'

    def test_of_the_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / 'config').write_text(
            '[default]\nregion = eu-west-2\n[profile work]\nregion = eu-west-3\n[profile x]\n'
        )
        monkeypatch.setenv('AWS_CONFIG_FILE', str(tmp_path / 'config'))
        assert self.region() == 'eu-west-2'
        assert self.region(profile_name='work') == 'eu-west-3'
        assert self.region(profile_name='x') == 'us-east-1'


class TestTables:
    def test_it_is_made_with_the_cache(self, make_cache: Any, client: Any) -> None:
        make_cache('mine')
        table = client.describe_table(TableName='mine')['Table']
        assert table['KeySchema'] == [{'AttributeName': 'key', 'KeyType': 'HASH'}]
        assert table['AttributeDefinitions'] == [{'AttributeName': 'key', 'AttributeType': 'S'}]
        assert table['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST'
        ttl = client.describe_time_to_live(TableName='mine')['TimeToLiveDescription']
        assert ttl == {'TimeToLiveStatus': 'ENABLED', 'AttributeName': 'ttl'}
        assert client.list_tables()['TableNames'] == ['mine']

    def test_it_may_be_there(self, make_cache: Any, client: Any) -> None:
        make_cache('mine').responses['key'] = make_response(1)
        for cache in (make_cache('mine'), make_cache('mine', False), make_cache('mine', create_table=False)):
            assert facts(cache.responses['key']) == facts(make_response(1))

    def test_no_time_to_live(self, make_cache: Any, client: Any) -> None:
        make_cache('mine', ttl=False)
        ttl = client.describe_time_to_live(TableName='mine')['TimeToLiveDescription']
        assert ttl['TimeToLiveStatus'] == 'DISABLED'

    def test_it_is_not_made_unless_wanted(self, make_cache: Any, client: Any) -> None:
        cache = make_cache('mine', create_table=False)
        for use in (lambda: cache.responses['key'], lambda: cache.save_response(make_response(1), 'key'), cache.clear):
            with pytest.raises(BackendError) as caught:
                use()
            assert isinstance(caught.value.__cause__, ClientError)
        assert client.list_tables()['TableNames'] == []

    def test_one_that_disappears_is_made_again(self, make_cache: Any, client: Any) -> None:
        cache = make_cache('mine')
        cache.responses['key'] = make_response(1)
        client.delete_table(TableName='mine')
        assert cache.get_response('key') is None
        save_chain(cache)
        assert len(cache.responses) == 1
        assert client.describe_time_to_live(TableName='mine')['TimeToLiveDescription']['TimeToLiveStatus'] == 'ENABLED'

    def test_the_second_argument(self, make_cache: Any, client: Any) -> None:
        """A flag in 1.3.x, the namespace in earlier designs"""
        make_cache('mine', 'name').responses['key'] = make_response(1)
        assert list(make_cache('mine', namespace='name').responses) == ['key']
        assert list(make_cache('mine', True).responses) == []
        make_cache('other', False)
        assert client.list_tables()['TableNames'] == ['mine']

    def test_a_user_who_may_not_set_it_up(self, make_cache: Any, client: Any, caplog: pytest.LogCaptureFixture) -> None:
        make_cache('mine', ttl=False)
        resource = boto3.resource('dynamodb', **CREDENTIALS, endpoint_url=client.meta.endpoint_url)
        denied = ClientError({'Error': {'Code': 'AccessDeniedException'}}, 'Operation')
        refusing = dict.fromkeys(('create_table', 'update_time_to_live'), mock.Mock(side_effect=denied))
        with mock.patch.multiple(resource.meta.client, **refusing):
            cache = DynamoDbCache('mine', connection=resource)
            cache.responses['key'] = make_response(1)
            assert cache.contains('key')
        assert sum('The table was not set up' in r.getMessage() for r in caplog.records) == 2
        resource.meta.client.close()

    def test_a_user_who_may_do_what_1_3_needs(self, make_cache: Any) -> None:
        cache = make_cache('mine')
        denied = mock.Mock(side_effect=ClientError({'Error': {'Code': 'AccessDeniedException'}}, 'Operation'))
        with mock.patch.multiple(cache.redirects.connection.meta.client, batch_get_item=denied, update_item=denied):
            save_chain(cache)
            cache.save_response(make_response(content=b'x' * 900_000), 'key')
            assert cache.get_response('key').content == b'x' * 900_000
            assert cache.contains(url='http://example.com/middle')
            assert cache.delete(urls=['http://example.com/start']) == 1
            assert cache.delete(invalid=True) == 0
            assert len(cache.redirects) == 0
        assert denied.called

    def test_setting_up_by_hand_raises_what_the_driver_raises(self, make_cache: Any) -> None:
        storage = make_cache('mine').responses
        storage._create_table()
        storage._enable_ttl()
        denied = ClientError({'Error': {'Code': 'AccessDeniedException'}}, 'Operation')
        client = storage.connection.meta.client
        with mock.patch.object(client, 'create_table', side_effect=denied), pytest.raises(ClientError):
            storage._create_table()
        with mock.patch.object(client, 'update_time_to_live', side_effect=denied), pytest.raises(ClientError):
            storage._enable_ttl()

    def test_the_table_of_the_driver(self, make_cache: Any) -> None:
        cache = make_cache('mine')
        cache.responses['key'] = make_response(1)
        assert cache.responses.table_name == cache.cache_name == 'mine'
        assert cache.responses._table.get_item(Key={'key': 'key'})['Item']['value']['status_code'] == 200


class TestClients:
    def test_one_that_is_passed_in_is_not_closed(self, server: DynamoDbServer) -> None:
        resource = boto3.resource('dynamodb', **server.options)
        with mock.patch.object(resource.meta.client, 'close') as close:
            for cache in (DynamoDbCache('mine', connection=resource), DynamoDbDict('mine', connection=resource)):
                storage = getattr(cache, 'responses', cache)
                assert storage.connection is resource
                storage['key'] = make_response(1)
                cache.close()
                assert storage['key'].status_code == 200
            with CachedSession('mine', backend='dynamodb', connection=resource):
                pass
        close.assert_not_called()
        assert resource.Table('mine').item_count == 1
        resource.meta.client.close()

    def test_one_client_for_both_storages(self, make_cache: Any) -> None:
        cache = make_cache('mine')
        assert cache.redirects.connection is cache.responses.connection
        before = cache.responses.connection
        cache.close()
        assert cache.redirects.connection is cache.responses.connection is not before

    def test_another_client_may_take_its_place(self, make_cache: Any, server: DynamoDbServer) -> None:
        cache = make_cache('mine')
        cache.responses['key'] = make_response(1)
        resource = boto3.resource('dynamodb', **server.options)
        cache.responses.connection = resource
        cache.close()
        assert cache.redirects.connection is resource
        assert cache.contains('key')
        resource.meta.client.close()

    def test_the_driver_is_looked_up_when_it_is_used(self) -> None:
        assert module.boto3 is boto3
        with mock.patch.object(module, 'boto3') as replaced:
            storage = DynamoDbDict('mine')
            assert storage.connection is replaced.resource.return_value
        assert module.boto3 is boto3
        assert not hasattr(module, 'boto2')

    @pytest.mark.parametrize('copied', [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])
    def test_copies_have_clients_of_their_own(self, copied: Any, make_cache: Any) -> None:
        cache = make_cache('mine', namespace='name')
        save_chain(cache)
        other = copied(cache)
        assert dict(other.redirects.items()) == dict(cache.redirects.items())
        other.responses['key'] = make_response(1)
        assert cache.contains('key')
        other.close()

    def test_a_cache_with_a_client_passed_in_is_not_copied(self) -> None:
        cache = DynamoDbCache('mine', connection=mock.MagicMock())
        with pytest.raises(TypeError, match='region_name'):
            pickle.dumps(cache)

    def test_without_credentials(self, server: DynamoDbServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(boto3, 'DEFAULT_SESSION', None)
        cache = DynamoDbCache('mine', endpoint_url=server.url)
        with pytest.raises(BackendError) as caught:
            cache.clear()
        assert isinstance(caught.value.__cause__, NoCredentialsError)


class TestWithoutDriver:
    @pytest.fixture(autouse=True)
    def no_boto3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, 'boto3', None)

    def test_constructors_name_the_extra(self) -> None:
        for construct in (DynamoDbCache, lambda: DynamoDbDict('mine'), lambda: init_backend('mine', 'dynamodb')):
            with pytest.raises(MissingDependencyError, match=r"'requests-cache\[dynamodb\]'") as caught:
                construct()
            assert isinstance(caught.value, ImportError)

    def test_the_classes_are_there(self) -> None:
        assert issubclass(DynamoDbCache, BaseCache)
        assert 'table_name' in DynamoDbCache.owned_keywords()
        assert not hasattr(module, 'boto3')

    def test_the_driver_is_not_imported_before_it_is_used(self) -> None:
        program = 'import sys, requests_cache.backends.dynamodb; print([m for m in sys.modules if "boto" in m])'
        done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
        assert done.stdout == '[]\n', done.stderr


class TestOldCaches:
    """What 1.3.3 has written is read exactly, which it is not by 1.3.3"""

    @pytest.fixture(params=sorted(RECORDED))
    def recorded(self, request: pytest.FixtureRequest) -> Any:
        return request.param, RECORDED[request.param]

    @pytest.fixture
    def old_cache(self, recorded: Any, make_cache: Any, client: Any) -> DynamoDbCache:
        name, content = recorded
        serializer = {'pickle': 'pickle', 'json': 'json'}.get(name)
        cache: DynamoDbCache = make_cache('old', serializer=serializer)
        for item in content['items']:
            client.put_item(TableName='old', Item=_from_json(item))
        return cache

    def test_every_entry_is_read(self, recorded: Any, old_cache: DynamoDbCache) -> None:
        responses = recorded[1]['responses']
        assert sorted(old_cache.responses) == sorted(r['key'] for r in responses)
        assert len(old_cache.responses) == len(responses)
        scanned = dict(old_cache.responses.scan())
        for expected in responses:
            response = old_cache.get_response(expected['key'])
            content = b64decode(expected['content'])
            if recorded[0] != 'bytes-only' and 'json' in expected['headers'].get('Content-Type', ''):
                # All that there is, is the document, with no order of its members; 1 and 1.0 are written differently
                assert json.dumps(response.json(), sort_keys=True) == json.dumps(json.loads(content), sort_keys=True)
            else:
                assert response.content == content
            assert response.status_code == expected['status']
            assert response.reason == expected['reason']
            headers = dict(response.headers)
            if recorded[0] != 'bytes-only':  # the length of a body that was restored is its own
                headers['Content-Length'] = expected['headers']['Content-Length']
            assert headers == expected['headers']
            assert dict(response.cookies) == expected['cookies']
            assert [r.url for r in response.history] == expected['history']
            assert response.url == scanned[expected['key']].url == expected['final_url'].replace(*REDACTED)

    def test_every_time_is_read(self, recorded: Any, old_cache: DynamoDbCache) -> None:
        assert {r.expires is not None for r in old_cache.filter()} == {recorded[0] == 'expiring'}
        for item in recorded[1]['items']:
            response = old_cache.get_response(item['key']['S'])
            if 'ttl' in item:
                assert response.expires_unix == int(item['ttl']['N'])
            if 'M' in item['value']:
                stored = item['value']['M']
                assert response.created_at.isoformat() == stored['created_at']['S']
                assert response.elapsed.total_seconds() == float(stored['elapsed']['N'])

    def test_requests_hit(self, recorded: Any, old_cache: DynamoDbCache) -> None:
        with CachedSession(backend=old_cache, allowable_methods=('GET', 'POST')) as session:
            for expected in recorded[1]['responses']:
                if expected['method'] == 'POST':
                    continue  # keys of requests with a body are made in another way
                response = session.get(expected['url'], **expected['arguments'])
                assert response.from_cache
                assert response.status_code == expected['status']

    def test_they_can_be_maintained(self, recorded: Any, old_cache: DynamoDbCache) -> None:
        count = len(recorded[1]['responses'])
        assert len(list(old_cache.filter())) == count
        old_cache.reset_expiration(FUTURE)
        assert {r.expires for r in old_cache.filter()} == {FUTURE}
        other = BaseCache()
        other.update(old_cache)
        assert len(other.responses) == count
        assert old_cache.delete(older_than=1) == count
        assert len(old_cache.responses) == 0


def _from_json(value: Any) -> Any:
    """An attribute as the driver's client wants it, with binary data that JSON holds as base64"""
    if isinstance(value, dict):
        return {k: b64decode(v) if k == 'B' and isinstance(v, str) else _from_json(v) for k, v in value.items()}
    return [_from_json(v) for v in value] if isinstance(value, list) else value


class TestSessions:
    def test_names(self, make_session: Any, client: Any) -> None:
        make_session('first')
        make_session(cache_name='api_cache', table_name='my-cache-table')
        make_session('third', backend=DynamoDbCache)
        assert client.list_tables()['TableNames'] == ['first', 'my-cache-table', 'third']
        assert make_session().cache.cache_name == 'http_cache'

    def test_an_instance(self, make_cache: Any, origin: Origin) -> None:
        origin.add('/', body=b'hello')
        with CachedSession(backend=make_cache('mine')) as session:
            assert not session.get(origin.url('/')).from_cache
            assert session.get(origin.url('/')).from_cache

    @pytest.mark.parametrize('serializer', [None, 'pickle', 'json', 'yaml'])
    @pytest.mark.parametrize('body', [JSON, b'x' * 900_000, b'', bytes(range(256))], ids=len)
    def test_hits_are_exact(self, serializer: Any, body: bytes, make_session: Any, origin: Origin) -> None:
        headers = [('Content-Type', 'application/json' if body == JSON else 'application/octet-stream'), ('X-A', '1')]
        origin.add('/page', body=body, headers=[*headers, ('X-A', '2'), ('Set-Cookie', 'a=b')])
        expected = requests.get(origin.url('/page'))
        for from_cache in (False, True):
            session = make_session('mine', serializer=serializer)
            response = session.get(origin.url('/page'))
            assert response.from_cache == from_cache
            assert response.content == expected.content == body
            assert list(response.headers.items()) == list(expected.headers.items())
            assert response.raw.headers.getlist('X-A') == ['1', '2']
            assert response.cookies.get_dict() == {'a': 'b'}
        assert origin.hits('/page') == 2

    def test_redirects_hit_in_another_session(self, make_session: Any, origin: Origin) -> None:
        origin.add('/start', status=302, headers=[('Location', '/middle')])
        origin.add('/middle', status=301, headers=[('Location', '/end')])
        origin.add('/end', body=b'end')
        make_session('mine').get(origin.url('/start'))
        for path in ('/start', '/middle'):
            response = make_session('mine').get(origin.url(path))
            assert response.from_cache
            assert response.content == b'end'
            assert response.history[-1].url == origin.url('/middle')
        assert origin.hits() == 3

    def test_expired_entries_are_fetched_again(self, make_session: Any, origin: Origin) -> None:
        origin.add('/page', body=b'hello')
        session = make_session('mine', expire_after=3600)
        session.get(origin.url('/page'))
        assert session.get(origin.url('/page')).from_cache
        session.cache.reset_expiration(PAST)
        assert not session.get(origin.url('/page')).from_cache
        assert session.get(origin.url('/page')).from_cache

    def test_copies_to_and_from_another_backend_hit(self, make_session: Any, origin: Origin) -> None:
        origin.add('/start', status=302, headers=[('Location', '/end')])
        origin.add('/end', body=JSON, headers=[('Content-Type', 'application/json')])
        origin.add('/large', body=b'x' * 900_000)
        source = make_session('mine', namespace='source')
        for path in ('/start', '/large'):
            source.get(origin.url(path))
        local, target = CachedSession(backend='memory'), make_session('mine', namespace='target', serializer='pickle')
        local.cache.update(source.cache)
        target.cache.update(local.cache)
        before = origin.hits()
        for session in (source, local, target):
            assert session.get(origin.url('/start')).content == JSON
            assert session.get(origin.url('/large')).content == b'x' * 900_000
        assert origin.hits() == before
        local.close()
