"""Proxy settings of the environment"""

from __future__ import annotations

import json
from itertools import product

import pytest
import requests

from requests_cache import CachedSession, CacheMixin


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


@pytest.mark.parametrize('proxy', ['', 'http://proxy.example:1'])
def test_environment_is_looked_through_once(proxy, sent, monkeypatch):
    monkeypatch.setenv('HTTP_PROXY', proxy)
    with CachedSession(backend='memory') as session:
        session.get('http://page.example')

        def fail(*args, **kwargs):
            raise AssertionError('proxies were looked for')

        monkeypatch.setattr(requests.sessions, 'get_environ_proxies', fail)
        assert session.get('http://page.example').from_cache
        session.get('http://page.example/2')
        monkeypatch.setenv('HTTP_PROXY', 'http://other.example:2')
        with pytest.raises(AssertionError, match='looked for'):
            session.get('http://page.example')
    assert [call['proxies'].get('http') for call in sent] == [proxy or None] * 2


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
        session.send(prepared, **settings)
    assert sent[0]['proxies']['http'] == 'http://proxy.example:1'


def test_key_functions_and_hooks_get_settings_that_are_plain(sent, monkeypatch):
    """On a miss and on a hit, with a proxy and without"""
    seen = []

    def key_fn(request, **kwargs):
        seen.append(json.dumps(kwargs['proxies']))
        return 'key'

    def hook(response, **kwargs):
        seen.append(json.dumps(kwargs['proxies']))

    for proxy in ('', 'http://proxy.example:1'):
        monkeypatch.setenv('HTTP_PROXY', proxy)
        with CachedSession(backend='memory', key_fn=key_fn) as session:
            for _ in range(2):
                session.get('http://page.example', hooks={'response': hook})
        wanted = json.dumps({'http': proxy} if proxy else {})
        assert len(seen) >= 4
        assert set(seen) == {wanted}
        seen.clear()


def test_merged_settings_are_those_of_requests(monkeypatch):
    for variables in ({}, {'HTTP_PROXY': 'http://a'}, {'https_proxy': 'http://b', 'NO_PROXY': 'page.example'}):
        for name in ('HTTP_PROXY', 'https_proxy', 'NO_PROXY'):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for trust_env, verify, proxies in product((True, False), (None, True, False, '/x.pem'), ({}, {'http': 'c'})):
            plain, caching = requests.Session(), CachedSession(backend='memory')
            plain.trust_env = caching.trust_env = trust_env
            for url in ('http://page.example/a', 'https://page.example', 'https://other.example:8/', 'own://x') * 2:
                arguments = url, dict(proxies), None, verify, None
                expected = plain.merge_environment_settings(*arguments)
                assert caching.merge_environment_settings(*arguments) == expected, (variables, arguments)
            caching.close()
            plain.close()
