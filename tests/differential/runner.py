"""Run scenarios under whichever requests-cache the interpreter has, and write down what happened.

    python -m differential.runner SCENARIOS.json OBSERVATIONS.json

One origin server, in this process, answers for every host under ``.test``, so that URLs and cache keys are the same
in every run; the clock is virtual and moves only by ``advance`` steps. Only public names of the library are used.
"""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
import time_machine

import requests_cache

from . import observe
from .origin import THREAD_NAME, Origin

START = 1_800_000_000.0
SCENARIO_LIMIT_SECONDS = 120
QUIET_SECONDS = 0.25
PASSED_ON = ('params', 'headers', 'data', 'json', 'stream', 'allow_redirects')
BACKGROUND_LIMIT_SECONDS = 10

FILTERS: dict[str, Any] = {
    'ok': lambda response: response.status_code == 200,
    'typed': lambda response: 'Content-Type' in response.headers,
    'not-second': lambda response: b'"n": 2' not in response.content,
}


def expiration(value: Any) -> Any:
    """A scenario's way to write an expiration, as the value that a caller would pass."""
    if isinstance(value, str) and value.isupper():
        return getattr(requests_cache, value)
    if not isinstance(value, list):
        return value
    kind, seconds = value
    moment = observe.now() + timedelta(seconds=seconds)
    if kind == 'timedelta':
        return timedelta(seconds=seconds)
    if kind == 'date':
        return moment
    if kind == 'naive':
        return datetime.now() + timedelta(seconds=seconds)
    return format_datetime(moment, usegmt=True)


def setting(name: str, value: Any) -> Any:
    if name in ('expire_after', 'stale_if_error', 'stale_while_revalidate'):
        return expiration(value)
    if name == 'urls_expire_after':
        return {pattern: expiration(each) for pattern, each in value.items()}
    return FILTERS.get(value) if name == 'filter_fn' else value


class Player:
    """One scenario being played: its session, its directory, and how many hooks ran."""

    def __init__(self, scenario: dict[str, Any], directory: Path, origin: Origin, clock: Any) -> None:
        self.scenario, self.directory, self.origin, self.clock = scenario, directory, origin, clock
        self.hook_runs = 0
        self.session = self.open()

    def open(self) -> Any:
        settings = {name: setting(name, value) for name, value in self.scenario['settings'].items()}
        settings['cache_name'] = str(self.directory / 'cache')
        flavour = self.scenario.get('flavour', 'session')
        if flavour == 'mixin':
            session: Any = type('Mixed', (requests_cache.CacheMixin, requests.Session), {})(**settings)
        elif flavour == 'patched':
            requests_cache.install_cache(**settings)
            session = requests.Session()
            requests_cache.uninstall_cache()
        else:
            session = requests_cache.CachedSession(**settings)
        session.headers.update({'User-Agent': 'differential', 'Accept-Encoding': 'gzip, deflate'})
        session.headers.update(self.scenario.get('session_headers', {}))
        if self.scenario.get('hooks'):
            session.hooks['response'].append(self._hook)
        return session

    def _hook(self, response: Any, *args: Any, **kwargs: Any) -> None:
        self.hook_runs += 1

    def close(self) -> None:
        self.session.close()
        self.session.cache.close()

    def play(self, step: dict[str, Any]) -> dict[str, Any]:
        """Take one step; say what it gave, what the origin received, and what is in the cache afterwards."""
        before, self.hook_runs = len(self.origin.log), 0
        known = set(threading.enumerate())
        background = self.scenario.get('background') and step['op'] == 'request'
        if background:
            self.origin.gate.clear()
        try:
            result = getattr(self, f'do_{step["op"]}')(step)
        except Exception as error:
            result = {'raised': observe.failure(error)}
        self.origin.gate.set()
        if background:
            self._settle(known)
        seen = {'result': result, 'wire': self.origin.log[before:]}
        if self.scenario.get('hooks'):
            seen['hooks'] = self.hook_runs
        if step['op'] != 'advance':
            seen['jar'] = observe.see_jar(self.session)
        seen['cache'] = observe.attempt(lambda: observe.see_cache(self.session))
        return seen

    def _settle(self, known: set[threading.Thread]) -> None:
        """Wait for background refreshes: threads of their own end, pooled ones fall silent."""
        for thread in set(threading.enumerate()) - known:
            if thread.name != THREAD_NAME and not thread.daemon:
                thread.join(BACKGROUND_LIMIT_SECONDS)
        quiet_since, count = time.perf_counter(), len(self.origin.log)
        while time.perf_counter() - quiet_since < QUIET_SECONDS:
            threading.Event().wait(0.02)
            if len(self.origin.log) != count:
                quiet_since, count = time.perf_counter(), len(self.origin.log)

    def do_request(self, step: dict[str, Any]) -> Any:
        given: dict[str, Any] = {name: step[name] for name in PASSED_ON if name in step}
        if 'body' in step:
            given['data'] = step['body'].encode('latin-1')
        if 'files' in step:
            given['files'] = {
                name: (f'{name}.txt', text.encode(), 'text/plain') for name, text in step['files'].items()
            }
        options = dict(step.get('options', {}))
        if 'expire_after' in options:
            options['expire_after'] = expiration(options['expire_after'])
        response = self._call(step, given, options)
        with response:
            return observe.see_response(response, step)

    def _call(self, step: dict[str, Any], given: dict[str, Any], options: dict[str, Any]) -> Any:
        method, url, via = step.get('method', 'GET'), step['url'], step.get('via', 'request')
        if via == 'verb':
            return getattr(self.session, method.lower())(url, **given, **options)
        if via == 'send':
            later = {name: given.pop(name) for name in ('stream', 'allow_redirects') if name in given}
            prepared = self.session.prepare_request(requests.Request(method, url, **given))
            return self.session.send(prepared, **later, **options)
        return self.session.request(method, url, **given, **options)

    def do_advance(self, step: dict[str, Any]) -> None:
        self.clock.shift(step['seconds'])

    def do_settings(self, step: dict[str, Any]) -> None:
        setattr(self.session.settings, step['name'], setting(step['name'], step['value']))

    def do_reopen(self, step: dict[str, Any]) -> None:
        self.close()
        self.session = self.open()

    def do_disabled(self, step: dict[str, Any]) -> Any:
        with self.session.cache_disabled():
            return [self.do_request(inner) for inner in step['steps']]

    def do_wrap(self, step: dict[str, Any]) -> Any:
        """One request by a session wrapped around the present one, sharing its backend."""
        wrapped = type(self.session).wrap(self.session, backend=self.session.cache, autoclose=False)
        return observe.see_response(wrapped.get(step['url']), step)

    def do_cache(self, step: dict[str, Any]) -> Any:
        return getattr(self, f'cache_{step["call"]}')(self.session.cache, step)

    def cache_delete(self, cache: Any, step: dict[str, Any]) -> None:
        given = dict(step['given'])
        if 'older_than' in given:
            given['older_than'] = expiration(given['older_than'])
        if 'requests' in given:
            given['requests'] = [requests.Request(*each) for each in given['requests']]
        keys = sorted(cache.responses.keys())[: step.get('first_keys', 0)]
        cache.delete(*keys, **given)

    def cache_clear(self, cache: Any, step: dict[str, Any]) -> None:
        cache.clear()

    def cache_contains(self, cache: Any, step: dict[str, Any]) -> Any:
        keys = sorted(cache.responses.keys())
        request = requests.Request('GET', step['url'])
        return [cache.contains(url=step['url']), cache.contains(request=request), [cache.contains(key) for key in keys]]

    def cache_filter(self, cache: Any, step: dict[str, Any]) -> Any:
        given = {name: expiration(value) if name == 'older_than' else value for name, value in step['given'].items()}
        return sorted(f'{each.url} {each.status_code} {each.is_expired}' for each in cache.filter(**given))

    def cache_urls(self, cache: Any, step: dict[str, Any]) -> Any:
        return cache.urls(**step['given'])

    def cache_reset_expiration(self, cache: Any, step: dict[str, Any]) -> None:
        cache.reset_expiration(expiration(step['value']))

    def cache_recreate_keys(self, cache: Any, step: dict[str, Any]) -> None:
        cache.recreate_keys()

    def cache_copy(self, cache: Any, step: dict[str, Any]) -> Any:
        """Copy everything into a second cache of another kind, and say what is there."""
        name = str(self.directory / 'copy')
        with requests_cache.CachedSession(name, backend=step['backend']) as other:
            other.cache.update(cache)
            return observe.see_cache(other)

    def cache_lookup(self, cache: Any, step: dict[str, Any]) -> Any:
        """Find the response for a URL by hand, as code that works on the cache directly does."""
        key = cache.create_key(requests.Request('GET', step['url'], headers=dict(self.session.headers)))
        found = cache.get_response(key)
        return [key, None if found is None else observe.see_response(found, step)]


def play(scenario: dict[str, Any], origin: Origin) -> list[Any]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clock = stack.enter_context(time_machine.travel(START, tick=False))
        origin.reset(scenario['site'])
        player = Player(scenario, directory, origin, clock)
        stack.callback(lambda: player.close())
        return [player.play(step) for step in scenario['steps']]


def main() -> None:
    os.environ['TZ'] = 'Asia/Tokyo'
    time.tzset()
    origin = Origin()
    resolve = socket.getaddrinfo

    def resolve_test_hosts(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        here = isinstance(host, str) and host.endswith('.test')
        return resolve(*(('127.0.0.1', origin.server_port) if here else (host, port)), *args, **kwargs)

    socket.getaddrinfo = resolve_test_hosts
    results = {}
    for scenario in json.loads(Path(sys.argv[1]).read_text()):
        faulthandler.dump_traceback_later(SCENARIO_LIMIT_SECONDS, exit=True)
        print(scenario['id'], file=sys.stderr)
        results[scenario['id']] = play(scenario, origin)
    faulthandler.cancel_dump_traceback_later()
    names = ('requests-cache', 'requests', 'urllib3', 'url-normalize')
    versions = {name: observe.attempt(partial(version, name)) for name in names}
    Path(sys.argv[2]).write_text(
        json.dumps({'versions': versions, 'file': requests_cache.__file__, 'results': results})
    )
    origin.shutdown()
    origin.server_close()


if __name__ == '__main__':
    main()
