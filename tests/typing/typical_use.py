"""Typical uses of the public API, checked by mypy and never run

What is written here must type-check without casts or ignores: it is what users write.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import requests
from requests import PreparedRequest, Request, Response, Session
from requests.structures import CaseInsensitiveDict

import requests_cache
from requests_cache import (
    ALL_METHODS,
    DEFAULT_IGNORED_PARAMS,
    DO_NOT_CACHE,
    EXPIRE_IMMEDIATELY,
    NEVER_EXPIRE,
    AnyRequest,
    AnyResponse,
    BaseCache,
    BaseStorage,
    CachedRequest,
    CachedResponse,
    CachedSession,
    CacheMixin,
    CacheSettings,
    CattrStage,
    DictStorage,
    DynamoDbCache,
    Event,
    EventKind,
    ExpirationPatterns,
    ExpirationTime,
    FileCache,
    GridFSCache,
    LRUFileDict,
    MongoCache,
    OriginalResponse,
    RedisCache,
    SerializerPipeline,
    SQLiteCache,
    SQLiteDict,
    Stage,
    Statistics,
    create_key,
    get_expiration_datetime,
    get_url_expiration,
    init_backend,
    json_serializer,
    pickle_serializer,
    safe_pickle_serializer,
)
from requests_cache.backends.summary import Summary, Tally
from requests_cache.observe import (
    LoggingSubscriber,
    OpenTelemetrySubscriber,
    PrometheusSubscriber,
    StructlogSubscriber,
)
from requests_cache.testing import (
    CacheContract,
    FaultyStorage,
    ManualClock,
    ManualExecutor,
    Origin,
    StorageContract,
)

URL = 'https://api.example.com/items'


def constructing(directory: Path) -> list[CachedSession]:
    compressed = SerializerPipeline(
        [pickle_serializer, Stage(dumps=gzip.compress, loads=gzip.decompress)], name='gzip', is_binary=True
    )
    return [
        CachedSession(),
        CachedSession('my_cache', 'sqlite', 'json', 3600),
        CachedSession(directory / 'my_cache', backend='SQLite', use_temp=True, wal=True, busy_timeout=5.0),
        CachedSession(backend=SQLiteCache(directory / 'cache.db', fast_save=True)),
        CachedSession(backend=FileCache, serializer=compressed),
        CachedSession('files', backend='filesystem', serializer=json_serializer, max_cache_bytes=10_000_000),
        CachedSession(serializer=safe_pickle_serializer(secret_key='secret'), cache_control=True),
        CachedSession('api_cache', backend='redis', host='localhost', port=6380, db=1, password='secret'),
        CachedSession(backend=RedisCache('prefix', ttl_offset=60)),
        CachedSession(backend=MongoCache('database', host='localhost')),
        CachedSession(backend=GridFSCache('database')),
        CachedSession(backend=DynamoDbCache('table', region_name='eu-north-1')),
    ]


def is_small(response: Response) -> bool:
    return len(response.content) < 1_000_000


def by_url(request: AnyRequest, **kwargs: Any) -> str:
    return str(request.url)


def settings(session: CachedSession) -> None:
    patterns: ExpirationPatterns = {
        '*.example.com': timedelta(hours=1),
        re.compile(r'/live/\d+'): DO_NOT_CACHE,
        'cdn.example.com': NEVER_EXPIRE,
        '*': EXPIRE_IMMEDIATELY,
    }
    session.settings = CacheSettings(
        expire_after=datetime(2030, 1, 1, tzinfo=timezone.utc),
        urls_expire_after=patterns,
        allowable_codes=(200, 404),
        allowable_methods=ALL_METHODS,
        ignored_parameters=[*DEFAULT_IGNORED_PARAMS, 'token'],
        match_headers=['Accept', 'Accept-Language'],
        filter_fn=is_small,
        key_fn=by_url,
        stale_if_error=timedelta(days=1),
        stale_while_revalidate=True,
    )
    session.settings.match_headers = True
    session.settings.expire_after = '2030-01-01'
    session.expire_after = 60
    with session.cache_disabled():
        session.get(URL)


def seconds_from_header(response: Response) -> int | None:
    text = response.headers.get('X-Cache-Seconds')
    return int(text) if text else None


def settings_by_url_and_status(session: CachedSession) -> None:
    session.settings.url_settings = {
        '*.example.com/live': {'expire_after': 5, 'allowable_codes': (200, 404)},
        re.compile(r'/login$'): {'restore_cookies': True, 'match_headers': ['Accept-Language']},
    }
    session.settings.url_settings['cdn.example.com'] = {'cache_control': 'strict'}
    session.settings.codes_expire_after = {404: timedelta(minutes=1), '5xx': 5, 410: seconds_from_header}
    session.settings.restore_cookies = True
    session.settings.urls_expire_after = {'api.example.com': seconds_from_header}
    session.expire_after = lambda response: len(response.content)
    own: CacheSettings = session.settings.for_url(URL)
    print(own.allowable_codes)
    session = CachedSession(expire_after=seconds_from_header, codes_expire_after={404: 60})
    session.get(URL, expire_after=seconds_from_header)
    session.cache.reset_expiration(seconds_from_header)


def requesting(session: CachedSession) -> str:
    response = session.get(URL, params={'page': 1}, headers={'Accept': 'text/plain'}, timeout=5)
    response = session.get(URL, expire_after=timedelta(minutes=5))
    response = session.post(URL, json={'a': 1}, expire_after=DO_NOT_CACHE, force_refresh=True)
    response = session.request('PUT', URL, data=b'body', only_if_cached=True, refresh=False)
    response = session.send(Request('GET', URL).prepare(), expire_after=10, stream=True)
    for verb in (session.head, session.options, session.delete):
        verb(URL)
    if response.from_cache and not response.is_expired:
        print(response.cache_key, response.revalidated, response.created_at.isoformat())
    if isinstance(response, CachedResponse):
        print(response.size, response.expires_delta, response.expires_unix, response.is_older_than(timedelta(days=1)))
        response.reset_expiration(60)
        prepared: PreparedRequest = response.request.prepare()
        print(prepared.url)
    expires: datetime | None = response.expires
    return response.text if expires else str(response.json()['text'])


def handing_on(session: Session) -> Response:
    return session.get(URL)


def a_cached_session_is_a_session(session: CachedSession) -> bool:
    return handing_on(session).ok


class LimitedSession(Session):
    def __init__(self, per_second: float = 1.0):
        super().__init__()
        self.per_second = per_second


class CachedLimitedSession(CacheMixin, LimitedSession):
    pass


class ApiSession(CachedSession):
    def __init__(self, token: str, **kwargs: Any):
        super().__init__('api_cache', expire_after=600, **kwargs)
        self.headers['X-API-Token'] = token

    def send(
        self,
        request: PreparedRequest,
        expire_after: ExpirationTime = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> OriginalResponse | CachedResponse:
        return super().send(request, expire_after, only_if_cached, refresh, force_refresh, **kwargs)


def mixing() -> None:
    limited = CachedLimitedSession('limited', backend='memory', per_second=5)
    limited.get(URL)
    with ApiSession('token', backend='memory') as api:
        api.get(URL)
    wrapped: CachedSession = CachedSession.wrap(requests.Session(), backend='memory')
    wrapped.close()


def patching() -> None:
    requests_cache.install_cache('my_cache', backend='memory', expire_after=60)
    if requests_cache.is_installed():
        cache: BaseCache | None = requests_cache.get_cache()
        print(cache)
    requests_cache.delete(expired=True)
    requests_cache.clear()
    requests_cache.uninstall_cache()
    with requests_cache.enabled(backend='memory'), requests_cache.disabled():
        requests.get(URL)
    requests_cache.install_cache(session_factory=ApiSession)


def maintaining(cache: BaseCache, sqlite: SQLiteCache, files: FileCache) -> None:
    key: str = cache.create_key(Request('GET', URL))
    found: bool = cache.contains(key) or cache.contains(url=URL) or cache.contains(request=Request('GET', URL))
    removed: int = cache.delete(key, 'other', urls=[URL], expired=True, older_than=timedelta(days=30))
    stored: CachedResponse | None = cache.get_response(key)
    if stored:
        cache.save_response(stored, cache_key='copy', expires=datetime.now(timezone.utc))
    for response in cache.filter(valid=True, expired=False, invalid=True, older_than=60):
        print(response.url, response.size)
    urls: list[str] = cache.urls(expired=False)
    cache.update(sqlite)
    cache.recreate_keys()
    cache.reset_expiration(timedelta(days=30))
    print(found, removed, urls, len(cache.responses), list(cache.redirects.items()))

    largest: Iterator[CachedResponse] = sqlite.sorted(key='size', reversed=True, limit=10)
    print(sqlite.count(expired=False), sqlite.db_path, [r.url for r in largest])
    paths: list[Path] = list(files.paths())
    print(paths, files.cache_dir)
    with SQLiteDict('my_cache', table_name='things').bulk_commit():
        pass


class MyStorage(BaseStorage[str, Any]):
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.data: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self.deserialize(key, self.data[key])

    def __setitem__(self, key: str, value: Any) -> None:
        self.data[key] = self.serialize(value)

    def __delitem__(self, key: str) -> None:
        del self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class MyCache(BaseCache):
    def __init__(self, cache_name: str = 'mine', **kwargs: Any):
        super().__init__(cache_name, **kwargs)
        self.responses = MyStorage(serializer='pickle')
        self.redirects = DictStorage()


def helpers(request: AnyRequest, response: AnyResponse, when: ExpirationTime) -> None:
    backend: BaseCache = init_backend('my_cache', backend=MyCache())
    key: str = create_key(request, ignored_parameters=['token'], match_headers=['Accept'])
    expires: datetime | None = get_expiration_datetime(when)
    print(backend, key, expires, get_url_expiration(response.url, {'*': 60}))
    stored = CachedResponse(status_code=200, url=URL, headers=CaseInsensitiveDict({'ETag': '"1"'}))
    stored.request = CachedRequest(method='GET', url=URL)
    print(CachedResponse.from_response(stored).history, CattrStage().dumps(stored))


def download() -> int:
    session = CachedSession(
        'downloads',
        backend=SQLiteCache('downloads', large_body_bytes=1 << 20),
        max_body_bytes=1 << 30,
        drain_bytes=1 << 16,
        drain_seconds=0.5,
        single_flight='shared',
        single_flight_timeout=10.0,
    )
    length = 0
    with session.get(URL, stream=True) as response:
        for chunk in response.iter_content(65_536):
            length += len(chunk)
        status = response.cache_status
    return 0 if status is not None and status.collapsed else length


def explain_a_request() -> str:
    session = CachedSession('explained')
    explanation = session.explain('GET', URL, params={'page': 2}, refresh=True)
    similar = [text for other in explanation.similar for text in other.differences]
    age = explanation.stored.age if explanation.stored is not None else 0.0
    told = session.explain(session.get(URL)).not_stored or ''
    return f'{explanation.outcome} {explanation.because} {similar} {age} {told}'


def watch_a_session() -> float:
    session = CachedSession('watched')
    slow: list[Event] = []

    def tell(event: Event) -> None:
        if event.kind is EventKind.MISS and event.seconds is not None and event.seconds > 1:
            slow.append(event)
        if event.kind.is_result and event.expires is not None:
            print(event.url, event.reason, event.expires.isoformat())

    unsubscribe = session.subscribe(tell)
    for subscriber in (LoggingSubscriber(level=10), StructlogSubscriber(level='debug')):
        session.subscribe(subscriber)
    session.subscribe(PrometheusSubscriber(namespace='mine', seconds_buckets=[0.1, 1]))
    session.subscribe(OpenTelemetrySubscriber(span_attributes=False))
    session.get(URL)
    unsubscribe()
    stats: Statistics = session.stats
    session.reset_stats()
    return stats.hit_rate + stats.seconds_saved + stats.misses_by_reason.get('stale', 0) + len(slow)


def bound_a_cache() -> None:
    session = CachedSession('bounded', max_cache_bytes='500 MB', max_entries=10_000, delete_expired_after=86_400)
    session = CachedSession(backend=SQLiteCache('bounded', max_cache_bytes=2**30))
    session = CachedSession(backend=FileCache('bounded', max_entries=1000, delete_expired_after=timedelta(days=1)))
    storage = LRUFileDict('bounded', max_cache_bytes='2 GiB', max_file_bytes='10 MB', block_bytes=4096)
    sizes: dict[str, int] = dict(storage.lru_index.items())
    oldest: list[str] = list(storage.lru_index.sorted(limit=len(sizes)))
    storage.bulk_delete(oldest)
    session = CachedSession(backend=RedisCache('bounded', max_cache_bytes='1 GiB', delete_expired_after=60.0))
    session = CachedSession(backend=MongoCache('bounded', max_entries=1_000, delete_expired_after=timedelta(days=1)))
    session = CachedSession(backend=GridFSCache('bounded', max_cache_bytes='2 GiB'))
    session = CachedSession(backend=DynamoDbCache('expiring', delete_expired_after=timedelta(days=1)))
    session.close()


def sealed() -> int:
    key: str = requests_cache.new_encryption_key()
    session = CachedSession('sealed', backend=SQLiteCache('sealed', compression='zstd', encryption_key=[key]))
    return session.cache.reencrypt(print)


def count() -> str:
    cache = init_backend('redis://localhost/0?namespace=x')
    summary: Summary = cache.summary(print)
    api: Tally | None = summary.by_host.get('api.example.com')
    cache.remove_leftovers()
    return f'{summary} {summary.by_status[404].entries} {api.bytes if api else 0} {summary.to_dict()["entries"]}'


class OwnStorage(BaseStorage[str, CachedResponse]):
    def __init__(self) -> None:
        super().__init__(serializer='pickle', large_body_bytes=1 << 20)
        self.items_by_key: dict[str, bytes] = {}

    def __getitem__(self, key: str) -> CachedResponse:
        response = self.deserialize(key, self.items_by_key[key])
        if response is None:
            raise KeyError(key)
        return response

    def __setitem__(self, key: str, value: CachedResponse) -> None:
        self.items_by_key[key] = self.serialize(value, key)

    def __delitem__(self, key: str) -> None:
        del self.items_by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.items_by_key))

    def __len__(self) -> int:
        return len(self.items_by_key)


def copy_body(storage: OwnStorage, key: str) -> None:
    writer = storage.body_writer(key)
    writer.write(b'some ')
    writer.write(b'bytes')
    writer.commit()
    storage.write_if(key, CachedResponse(content=b'x'), lambda stored: stored is None)


class TestOwnStorage(StorageContract, CacheContract):
    lacks = {'forking': 'the store does not survive it'}

    def open_storage(self, place: Path, kind: str = 'responses', **kwargs: Any) -> OwnStorage:
        return OwnStorage()

    def open_cache(self, place: Path, **kwargs: Any) -> BaseCache:
        return BaseCache(**kwargs)


def break_a_cache(cache: BaseCache, url: str) -> list[str]:
    cache.responses = storage = FaultyStorage(SQLiteDict('broken'))
    storage.fail('read', 'write', error=TimeoutError, on_call=2, times=1, after=True)
    with ManualClock(datetime.now()) as clock, ManualExecutor() as background, Origin() as origin:
        clock.advance(timedelta(seconds=5))
        origin.add('/page', body=b'x', headers=[('ETag', '"1"')])
        CachedSession(backend=cache).get(origin.url('/page'))
        background.run()
    storage.mend()
    return [*storage.calls, *background.waiting]
