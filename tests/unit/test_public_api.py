"""Code for 1.3.x finds every name, parameter and default where it was, and pays nothing for what it does not use"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest

COMPAT = Path(__file__).parents[1] / 'compat'

PACKAGES = ['requests_cache', *(f'requests_cache.{name}' for name in ('backends', 'models', 'policy', 'serializers'))]
OPTIONAL = {
    'boto3', 'botocore', 'bson', 'gridfs', 'itsdangerous', 'opentelemetry', 'orjson', 'prometheus_client', 'pymongo',
    'redis', 'structlog', 'ujson', 'yaml',
}  # fmt: skip
HEAVY = {
    'cattrs', 'idna.uts46data', 'url_normalize', 'asyncio', 'multiprocessing', 'concurrent.futures', 'csv', 'difflib',
    'dataclasses', 'html', 'importlib.metadata', 'platformdirs', 'pprint', 'shelve', 'statistics', 'unittest', 'uuid',
    'xml',
}  # fmt: skip
MAX_MODULES = 158


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_the_recorded_surface_is_served() -> None:
    script, record = COMPAT / 'api_surface.py', COMPAT / 'api_1.3.json'
    done = run_python('-W', 'error', str(script), 'check', str(record))
    assert 'names recorded' in done.stdout, done.stderr
    assert done.stdout.strip().splitlines()[:-1] == []


@pytest.mark.parametrize('package', PACKAGES)
def test_what_a_package_offers_is_listed(package: str) -> None:
    module = import_module(package)
    listed = module.__all__
    assert len(set(listed)) == len(listed)
    assert [name for name in listed if not hasattr(module, name)] == []
    recorded = json.loads((COMPAT / 'api_1.3.json').read_text())[package]
    assert set(recorded) - set(listed) == set()


@pytest.mark.parametrize('module', ['backends.sqlite', 'patcher', 'models', 'policy.expiration', 'serializers.preconf'])
def test_modules_are_attributes_after_a_plain_import(module: str) -> None:
    done = run_python('-c', f'import requests_cache; requests_cache.{module}')
    assert done.returncode == 0, done.stderr


def test_importing_loads_only_what_every_session_needs() -> None:
    """`requests` has been paid for already; what it brings along is not ours"""
    code = 'before = set(sys.modules); import requests_cache; print(*(set(sys.modules) - before))'
    loaded = set(run_python('-c', f'import requests, sqlite3, sys; {code}').stdout.split())
    assert 'requests_cache.session' in loaded
    assert loaded & (OPTIONAL | HEAVY) == set()
    assert not any(name.startswith(('requests_cache.observe', 'requests_cache.engine.events')) for name in loaded)
    assert len(loaded) <= MAX_MODULES, sorted(loaded)


@pytest.mark.parametrize('library', ['boto3', 'bson', 'itsdangerous', 'orjson', 'pymongo', 'redis', 'ujson', 'yaml'])
def test_everything_is_importable_without_an_optional_library(library: str) -> None:
    code = (
        f'import sys; sys.modules[{library!r}] = None\n'
        'import requests_cache\n'
        'for name in requests_cache.__all__: getattr(requests_cache, name)\n'
        'print(requests_cache.CachedSession(backend="memory"))'
    )
    done = run_python('-W', 'error', '-c', code)
    assert done.stdout.startswith('<CachedSession('), done.stderr


def test_dependents_find_the_version_and_the_types_they_ask_for() -> None:
    major, minor = metadata.version('requests-cache').split('.')[:2]
    assert (int(major), int(minor)) == (1, 4)
    assert resources.files('requests_cache').joinpath('py.typed').is_file()
    extras = {'all', 'bson', 'cli', 'dynamodb', 'json', 'mongodb', 'redis', 'security', 'yaml'}
    extras |= {'opentelemetry', 'prometheus', 'structlog'}
    assert extras <= set(metadata.metadata('requests-cache').get_all('Provides-Extra') or [])


def test_names_that_are_loaded_when_they_are_used() -> None:
    code = (
        'import sys, requests_cache\n'
        'assert "Event" in dir(requests_cache)\n'
        'from requests_cache import Event, EventKind, Statistics\n'
        'import requests_cache.engine.events as events, requests_cache.engine.statistics as statistics\n'
        'print(Event is events.Event, EventKind is events.EventKind, Statistics is statistics.Statistics)\n'
        'try: requests_cache.Evnt\n'
        'except AttributeError as e: print(e)'
    )
    done = run_python('-W', 'error', '-c', code)
    assert done.stdout.splitlines() == [
        'True True True', "module 'requests_cache' has no attribute 'Evnt'",
    ], done.stderr  # fmt: skip


def test_the_command_is_installed() -> None:
    (command,) = metadata.entry_points(group='console_scripts', name='requests-cache')
    assert callable(command.load())
