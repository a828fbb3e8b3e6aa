"""What `requests` lets callers override, replace or change between requests is honoured by the next one"""

from __future__ import annotations

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from requests_cache import CachedSession, CacheMixin, CacheSettings
from requests_cache.testing.origin import answer, redirect, revalidating

FRESH = [('Cache-Control', 'max-age=60')]


class Recorder(HTTPAdapter):
    """Sends requests, and remembers their URLs and the keywords they were sent with"""

    def __init__(self):
        super().__init__()
        self.urls, self.keywords = [], []

    def send(self, request, **kwargs):
        self.urls.append(request.url)
        self.keywords.append(dict(kwargs, proxies=dict(kwargs['proxies'])))
        return super().send(request, **{**kwargs, 'proxies': {}, 'verify': True, 'cert': None})


@pytest.fixture
def recorder(session):
    recorder = Recorder()
    session.mount('http://', recorder)
    return recorder


class TestMethods:
    @pytest.mark.parametrize('order', ['before', 'after'])
    def test_prepare_request(self, order, new_session, origin):
        class Prefixed(requests.Session if order == 'after' else object):
            token = '1'

            def prepare_request(self, request):
                request.url = origin.url(request.url)
                prepared = super().prepare_request(request)
                prepared.headers['X-Token'] = self.token
                return prepared

        bases = (Prefixed, CachedSession) if order == 'before' else (CacheMixin, Prefixed)
        session = new_session(session_class=type('Session', bases, {}), backend='memory', match_headers=['X-Token'])
        origin.add('/page', body=b'x')
        assert [session.get('/page').from_cache for _ in range(2)] == [False, True]
        session.token = '2'
        assert session.get('/page').from_cache is False
        assert [r.header('X-Token') for r in origin.requests] == ['1', '2']

    def test_prepare_request_of_one_session(self, session, origin, monkeypatch):
        prepare = session.prepare_request

        def add_parameter(request):
            request.params = {**request.params, 'added': '1'}
            return prepare(request)

        monkeypatch.setattr(session, 'prepare_request', add_parameter)
        origin.add('/page', body=b'x')
        assert [session.get(origin.url('/page')).from_cache for _ in range(2)] == [False, True]
        assert origin.requests[0].path == '/page?added=1'

    @pytest.mark.parametrize('is_stored', [False, True])
    def test_rebuild_auth(self, is_stored, new_session, origin):
        """Also for the hops of a redirect that comes from the cache"""

        class Trusting(CachedSession):
            def rebuild_auth(self, prepared_request, response):
                """Keep the credentials, whatever the host"""

        elsewhere = origin.url('/target').replace('127.0.0.1', 'localhost')
        origin.add('/start', redirect(elsewhere))
        origin.add('/target', body=b'x')
        for session_class, sent in ((CachedSession, None), (Trusting, 'Basic dTpw')):
            session = new_session(session_class=session_class, backend='memory', allowable_codes=[200, 302])
            if is_stored:
                session.get(origin.url('/start'), auth=('u', 'p'), allow_redirects=False)
            assert session.get(origin.url('/start'), auth=('u', 'p')).content == b'x'
            assert origin.requests_for('/target')[-1].header('Authorization') == sent

    def test_merge_environment_settings(self, new_session, origin):
        """Runs for each request; what it gives reaches the adapter"""
        calls = []

        class Session(CachedSession):
            def merge_environment_settings(self, url, *args, **kwargs):
                calls.append(url)
                settings = super().merge_environment_settings(url, *args, **kwargs)
                return {**settings, 'proxies': {'http': 'http://proxy.example'}, 'cert': '/cert.pem'}

        session, recorder = new_session(session_class=Session, backend='memory'), Recorder()
        session.mount('http://', recorder)
        origin.add('/page', body=b'x')
        assert [session.get(origin.url('/page')).from_cache for _ in range(2)] == [False, True]
        assert calls == [origin.url('/page')] * 2
        assert recorder.keywords[0]['proxies'] == {'http': 'http://proxy.example'}
        assert recorder.keywords[0]['cert'] == '/cert.pem'

    def test_get_adapter(self, new_session, origin):
        recorder = Recorder()

        class Session(CachedSession):
            def get_adapter(self, url):
                return recorder

        session = new_session(session_class=Session, backend='memory')
        origin.add('/page', answer(body=b'x', headers=[('ETag', '"1"')]))
        for options in ({}, {}, {'refresh': True}):
            session.get(origin.url('/page'), **options)
        assert recorder.urls == [origin.url('/page')] * 2

    def test_resolve_redirects(self, new_session, origin):
        class Session(CachedSession):
            def get_redirect_target(self, resp):
                target = super().get_redirect_target(resp)
                return target and target.replace('/old', '/new')

        session = new_session(session_class=Session, backend='memory')
        origin.add('/start', redirect('/old'))
        origin.add('/new', body=b'x')
        responses = [session.get(origin.url('/start')) for _ in range(2)]
        assert [(r.url, r.from_cache) for r in responses] == [(origin.url('/new'), False), (origin.url('/new'), True)]

    @pytest.mark.parametrize('order', ['first', 'last', 'both'])
    def test_send_in_any_order(self, order, new_session, origin):
        class Counting:
            sent = 0

            def send(self, request, **kwargs):
                self.sent += 1
                return super().send(request, **kwargs)

        class AlsoCounting(requests.Session):
            inner = 0

            def send(self, request, **kwargs):
                self.inner += 1
                return super().send(request, **kwargs)

        bases = {
            'first': (Counting, CachedSession),
            'last': (CacheMixin, AlsoCounting),
            'both': (Counting, CacheMixin, AlsoCounting),
        }[order]
        session = new_session(session_class=type('Session', bases, {}), backend='memory')
        origin.add('/page', body=b'x')
        prepared = session.prepare_request(requests.Request('GET', origin.url('/page')))
        session.get(origin.url('/page'))
        assert session.get(origin.url('/page')).from_cache
        assert session.send(prepared).from_cache
        assert session.send(prepared, force_refresh=True).from_cache is False
        if order != 'last':
            assert session.sent == 4, 'what stands before the cache sees all requests'
        if order != 'first':
            assert session.inner == 2, 'what stands behind it sees those that go out'


class TestAdapters:
    def test_mounted_later(self, session, origin):
        origin.add('/page', answer(body=b'x'))
        origin.add('/special/page', answer(body=b'y'))
        session.get(origin.url('/page'))
        general, special = Recorder(), Recorder()
        session.mount('http://', general)
        session.mount(origin.url('/special/'), special)
        for path in ('/page', '/special/page', '/special/page', '/other'):
            session.get(origin.url(path))
        assert special.urls == [origin.url('/special/page')]
        assert general.urls == [origin.url('/other')]

    def test_own_scheme(self, session):
        class Answers(HTTPAdapter):
            def send(self, request, **kwargs):
                response = requests.Response()
                response.status_code, response.url, response.request = 200, request.url, request
                response._content = request.url.encode()
                return response

        with pytest.raises(requests.exceptions.InvalidSchema):
            session.get('own://page')
        session.mount('own://', Answers())
        responses = [session.get('own://page') for _ in range(2)]
        assert [(r.content, r.from_cache) for r in responses] == [(b'own://page', False), (b'own://page', True)]

    def test_hit_needs_no_adapter(self, session, origin):
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'))
        session.adapters.clear()
        assert session.get(origin.url('/page')).content == b'x'


class TestHooks:
    def test_of_session_and_request(self, session, origin):
        """The hooks of a request take the place of the session's, as in `requests`"""
        origin.add('/page', body=b'x')
        seen = []
        session.get(origin.url('/page'))
        session.hooks['response'].append(lambda r, **kwargs: seen.append(('session', r.url[-5:])))
        session.get(origin.url('/page'))
        session.get(origin.url('/page'), hooks={'response': lambda r, **kwargs: seen.append(('request', r.url[-5:]))})
        session.get(origin.url('/none'))
        session.hooks['response'].clear()
        session.get(origin.url('/page'))
        assert seen == [('session', '/page'), ('request', '/page'), ('session', '/none')]


class TestChangesBetweenRequests:
    def test_trust_env(self, session, recorder, origin, tmp_path, monkeypatch):
        netrc = tmp_path / 'netrc'
        netrc.write_text('machine 127.0.0.1 login u password p')
        monkeypatch.setenv('NETRC', str(netrc))
        monkeypatch.setenv('HTTP_PROXY', 'http://proxy.example')
        session.get(origin.url('/1'))
        session.trust_env = False
        session.get(origin.url('/2'))
        session.trust_env = True
        session.get(origin.url('/3'))
        assert [r.header('Authorization') for r in origin.requests] == ['Basic dTpw', None, 'Basic dTpw']
        assert [k['proxies'].get('http') for k in recorder.keywords] == [
            'http://proxy.example',
            None,
            'http://proxy.example',
        ]

    def test_environment(self, session, recorder, origin, monkeypatch):
        for number, proxy in enumerate(['http://a.example', 'http://b.example']):
            monkeypatch.setenv('HTTP_PROXY', proxy)
            monkeypatch.setenv('REQUESTS_CA_BUNDLE', f'/{number}.pem')
            session.get(origin.url(f'/{number}'))
        assert [k['proxies']['http'] for k in recorder.keywords] == ['http://a.example', 'http://b.example']
        assert [k['verify'] for k in recorder.keywords] == ['/0.pem', '/1.pem']

    def test_proxies_and_certificates(self, session, recorder, origin):
        origin.add('/page', body=b'x', headers=[('ETag', '"1"')])
        session.get(origin.url('/page'))
        session.proxies = {'http': 'http://proxy.example'}
        session.cert = '/cert.pem'
        session.get(origin.url('/page'), refresh=True)
        session.proxies['http'] = 'http://other.example'
        session.get(origin.url('/page'), refresh=True, timeout=5)
        assert [k['proxies'] for k in recorder.keywords] == [
            {},
            {'http': 'http://proxy.example'},
            {'http': 'http://other.example'},
        ]
        assert [k['cert'] for k in recorder.keywords] == [None, '/cert.pem', '/cert.pem']
        assert [k['timeout'] for k in recorder.keywords] == [None, None, 5]

    def test_auth(self, session, origin):
        class Token(AuthBase):
            def __call__(self, request):
                request.headers['X-Token'] = 'secret'
                return request

        for number, auth in enumerate([None, ('u', 'p'), Token(), None]):
            session.auth = auth
            session.get(origin.url(f'/{number}'))
        assert [r.header('Authorization') for r in origin.requests] == [None, 'Basic dTpw', None, None]
        assert [r.header('X-Token') for r in origin.requests] == [None, None, 'secret', None]

    def test_auth_that_is_matched(self, new_session, origin):
        session = new_session(backend='memory', match_headers=['Authorization'], ignored_parameters=[])
        origin.add('/page', body=b'x')
        found = []
        for auth in (('u', 'p'), ('u', 'q'), ('u', 'p')):
            session.auth = auth
            found.append(session.get(origin.url('/page')).from_cache)
        assert found == [False, False, True]

    def test_headers(self, new_session, origin):
        session = new_session(backend='memory', match_headers=['Accept-Language'])
        origin.add('/page', body=b'x')
        found = []
        for language in ('en', 'de', 'en'):
            session.headers['Accept-Language'] = language
            found.append(session.get(origin.url('/page')).from_cache)
        assert found == [False, False, True]
        assert [r.header('Accept-Language') for r in origin.requests] == ['en', 'de']

    def test_headers_told_apart_by_the_origin(self, session, origin):
        origin.add('/page', body=b'x', headers=[('Vary', 'X-Name')])
        found = []
        for name in ('a', 'b', 'a', None):
            session.headers['X-Name'] = name
            found.append(session.get(origin.url('/page')).from_cache)
        assert found == [False, False, True, False]

    def test_cookies(self, session, origin):
        origin.add('/page', body=b'x', headers=[('Vary', 'Cookie')])
        found = []
        for value in ('1', '1', '2', '2'):
            session.cookies.set('id', value)
            found.append(session.get(origin.url('/page')).from_cache)
        session.cookies.clear()
        found.append(session.get(origin.url('/page')).from_cache)
        assert found == [False, True, False, True, False]
        assert [r.header('Cookie') for r in origin.requests] == ['id=1', 'id=2', None]

    def test_parameters(self, session, origin):
        origin.add('/page', body=b'x')
        found = []
        for value in ('1', '2', '1'):
            session.params = {'page': value}
            found.append(session.get(origin.url('/page')).from_cache)
        assert found == [False, False, True]

    def test_verify(self, session, origin):
        """Certificates that were not verified are not those of a verified connection"""
        origin.add('/page', body=b'x')
        found = []
        for verify in (True, False, True):
            session.verify = verify
            found.append(session.get(origin.url('/page')).from_cache)
        assert found == [False, False, True]

    def test_redirects_allowed(self, session, origin):
        origin.add('/1', redirect('/2'))
        origin.add('/2', redirect('/3'))
        session.max_redirects = 1
        with pytest.raises(requests.TooManyRedirects):
            session.get(origin.url('/1'))
        session.max_redirects = 2
        assert session.get(origin.url('/1')).url == origin.url('/3')


class TestSettingsBetweenRequests:
    """A setting that is changed, or settings that are replaced, go for the next request"""

    @pytest.fixture(params=['changed', 'replaced'])
    def change(self, request, session):
        def change(**settings):
            if request.param == 'replaced':
                session.settings = CacheSettings(**settings)
            for name, value in settings.items() if request.param == 'changed' else ():
                setattr(session.settings, name, value)

        return change

    @pytest.mark.parametrize(
        ('settings', 'is_hit'),
        [
            ({}, True),
            ({'allowable_methods': ['POST']}, False),
            ({'cache_control': 'strict'}, False),
            ({'content_root_key': 'data'}, True),
            ({'disabled': True}, False),
            ({'ignored_parameters': ['page']}, False),
            ({'key_fn': lambda request, **kwargs: 'key'}, False),
            ({'match_headers': True}, False),
            ({'read_only': True}, True),
            ({'always_revalidate': True}, False),
        ],
        ids=lambda value: '-'.join(value) if isinstance(value, dict) else str(value),
    )
    def test_reading(self, settings, is_hit, change, session, origin):
        origin.add('/page', body=b'x', headers=[('Cache-Control', 'no-cache'), ('ETag', '"1"')])
        url = origin.url('/page?page=1')
        session.get(url)
        assert session.get(url).from_cache
        before = origin.hits()
        change(**settings)
        session.get(url)
        assert (origin.hits() == before) == is_hit

    @pytest.mark.parametrize(
        ('settings', 'is_stored'),
        [
            ({}, True),
            ({'allowable_codes': [404]}, False),
            ({'allowable_methods': ['POST']}, False),
            ({'cache_control': True}, False),
            ({'expire_after': 0}, False),
            ({'urls_expire_after': {'*/page': 0}}, False),
            ({'filter_fn': lambda response: False}, False),
            ({'read_only': True}, False),
        ],
        ids=lambda value: '-'.join(value) if isinstance(value, dict) else str(value),
    )
    def test_writing(self, settings, is_stored, change, session, origin):
        origin.add('/first', body=b'x')
        origin.add('/page', body=b'x', headers=[('Cache-Control', 'no-store')])
        session.get(origin.url('/first'))
        change(**settings)
        session.get(origin.url('/page'))
        assert (origin.url('/page') in {r.url for r in session.cache.filter()}) == is_stored

    def test_stale_responses(self, change, session, origin):
        origin.add('/page', answer(body=b'x'), answer(500))
        session.get(origin.url('/page'), expire_after=-10)
        for allowed, status in ((False, 500), (True, 200), (5, 500)):
            change(stale_if_error=allowed)
            assert session.get(origin.url('/page')).status_code == status

    def test_revalidation(self, change, session, origin):
        origin.add('/page', revalidating(answer(body=b'x', headers=[('ETag', '"1"')])))
        for revalidate, hits in ((False, 1), (True, 2), (False, 2), (True, 3)):
            change(always_revalidate=revalidate)
            assert session.get(origin.url('/page')).content == b'x'
            assert origin.hits() == hits
