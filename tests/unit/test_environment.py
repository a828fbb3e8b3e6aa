"""Proxy settings of the environment"""

from __future__ import annotations

import pytest
import requests

from requests_cache import CachedSession, CacheMixin
from requests_cache.session.environment import LazyProxies


@pytest.fixture
def sent(monkeypatch):
    """Keyword arguments that reach the network"""
    calls = []

    def send(self, request, **kwargs):
        calls.append(kwargs)
        response = requests.Response()
        response.status_code, response.url, response.request, response._content = 200, request.url, request, b'x'
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, 'send', send)
    return calls


def test_proxies_reach_the_network(sent, monkeypatch):
    monkeypatch.setenv('HTTP_PROXY', 'http://proxy.example:1')
    monkeypatch.setenv('NO_PROXY', 'direct.example')
    with CachedSession(backend='memory') as session:
        session.get('http://page.example')
        session.get('http://direct.example')
        session.get('http://other.example', proxies={'http': 'http://own.example:2'})
        session.trust_env = False
        session.get('http://last.example')
    assert [call['proxies'].get('http') for call in sent] == [
        'http://proxy.example:1',
        None,
        'http://own.example:2',
        None,
    ]


def test_certificates_of_the_environment(sent, monkeypatch):
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', '/bundle.pem')
    with CachedSession(backend='memory') as session:
        session.get('http://page.example')
        session.get('http://page.example', verify=False)
    assert [call['verify'] for call in sent] == ['/bundle.pem', False]


def test_hit_does_not_read_proxies(sent, monkeypatch):
    with CachedSession(backend='memory') as session:
        session.get('http://page.example')

        def fail(*args, **kwargs):
            raise AssertionError('proxies were looked for')

        monkeypatch.setattr(requests.sessions, 'get_environ_proxies', lambda url, **kw: fail() if url else {})
        assert session.get('http://page.example').from_cache
        with pytest.raises(AssertionError, match='looked for'):
            session.get('http://other.example')


def test_overridden_method_is_honoured(sent):
    class Own(requests.Session):
        def merge_environment_settings(self, url, proxies, stream, verify, cert):
            settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
            return {**settings, 'proxies': {'http': f'http://for/{url}'}}

    class Session(CacheMixin, Own):
        pass

    with Session(backend='memory') as session:
        session.get('http://page.example')
    assert sent[0]['proxies']['http'] == 'http://for/http://page.example/'


def test_prepared_requests_as_documented_by_requests(sent, monkeypatch):
    monkeypatch.setenv('HTTP_PROXY', 'http://proxy.example:1')
    with CachedSession(backend='memory') as session:
        prepared = session.prepare_request(requests.Request('GET', 'http://page.example'))
        settings = session.merge_environment_settings(prepared.url, {}, None, None, None)
        assert type(settings['proxies']) is not LazyProxies
        session.send(prepared, **settings)
    assert sent[0]['proxies']['http'] == 'http://proxy.example:1'


def test_lazy_proxies_work_as_a_dict():
    made = []
    proxies = LazyProxies(lambda: made.append(1) or {'http': 'a'})
    assert made == []
    proxies['https'] = 'b'
    del proxies['http']
    assert dict(proxies) == proxies.copy() == {'https': 'b'}
    assert repr(proxies) == "{'https': 'b'}"
    assert (len(proxies), len(made)) == (1, 1)
