"""What `requests_cache.testing` offers to others: test doubles, and contracts that say what is wrong"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import requests_cache.testing
from requests_cache import CachedSession
from requests_cache.exceptions import BackendUnavailableError
from requests_cache.testing import CacheContract, FaultyStorage, ManualClock, ManualExecutor, StorageContract
from requests_cache.testing.origin import Origin, answer
from requests_cache.testing.rules.base import CAPABILITIES
from requests_cache.testing.values import make_response

FRESH = [('Cache-Control', 'max-age=1000')]


@pytest.fixture
def session() -> Iterator[CachedSession]:
    with CachedSession(backend='memory') as session:
        yield session


@pytest.fixture
def faulty(session: CachedSession) -> Any:
    session.cache.responses = FaultyStorage(session.cache.responses)
    return session.cache.responses


def python(*code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, '-W', 'error', '-c', '\n'.join(code)], capture_output=True, text=True)


class TestFaultyStorage:
    def test_requests_go_on(self, session: CachedSession, faulty: FaultyStorage, origin: Origin) -> None:
        origin.add('/page', body=b'body')
        faulty.fail('read', 'write')
        for _ in range(2):
            response = session.get(origin.url('/page'))
            assert (response.content, response.from_cache) == (b'body', False)
        faulty.mend()
        session.get(origin.url('/page'))
        assert session.get(origin.url('/page')).from_cache

    def test_some_calls(self, faulty: FaultyStorage) -> None:
        faulty.fail('write', on_call=2, times=2)
        for number in range(5):
            with pytest.raises(BackendUnavailableError) if number in {1, 2} else nullcontext():
                faulty[f'{number}'] = make_response(number)
        assert sorted(faulty) == ['0', '3', '4']

    def test_after_the_write(self, faulty: FaultyStorage) -> None:
        faulty.fail('__setitem__', error=TimeoutError('no answer'), after=True)
        with pytest.raises(TimeoutError, match='no answer'):
            faulty['key'] = make_response(1)
        assert faulty['key'].content == make_response(1).content

    @pytest.mark.parametrize(
        ('operation', 'call'),
        [
            ('read', lambda storage: storage['key']),
            ('read', lambda storage: 'key' in storage),
            ('read', lambda storage: storage.peek('key')),
            ('write', lambda storage: storage.put('key', make_response(1))),
            ('write', lambda storage: storage.write_if('key', make_response(1), lambda stored: True)),
            ('write', lambda storage: storage.update({'key': make_response(1)})),
            ('delete', lambda storage: storage.__delitem__('key')),
            ('delete', lambda storage: storage.pop('key')),
            ('delete', lambda storage: storage.bulk_delete(['key'])),
            ('delete', lambda storage: storage.clear()),
            ('list', list),
            ('list', len),
            ('list', lambda storage: list(storage.scan())),
            ('list', lambda storage: list(storage.items())),
        ],
    )
    def test_operations(self, faulty: FaultyStorage, operation: str, call: Callable[[Any], Any]) -> None:
        faulty['key'] = make_response(0)
        others = [name for name in ('read', 'write', 'delete', 'list') if name != operation]
        faulty.fail(operation, error=OSError('away'))
        with pytest.raises(OSError, match='away'):
            call(faulty)
        faulty.mend()
        assert faulty['key'].content == make_response(0).content
        if operation != 'delete':  # `pop` reads as well
            faulty.fail(*others)
            call(faulty)

    def test_it_is_the_other_storage(self, faulty: FaultyStorage) -> None:
        faulty.serializer = None
        faulty.large_body_bytes = 100
        assert faulty.storage.large_body_bytes == 100
        assert faulty.pieces is faulty.storage.pieces
        faulty['key'] = make_response(1, content=b'x' * 5_000)
        assert faulty['key'].content == b'x' * 5_000
        assert faulty.calls == ['__setitem__', '__getitem__']
        assert str(faulty) == str(faulty.storage)

    def test_mistakes(self, faulty: FaultyStorage) -> None:
        with pytest.raises(ValueError, match='reed'):
            faulty.fail('reed')
        with pytest.raises(TypeError, match='dict'):
            FaultyStorage({})  # type: ignore[arg-type]


class TestManualClock:
    def test_entries_expire(self, session: CachedSession, origin: Origin) -> None:
        origin.add('/page', body=b'body')
        with ManualClock() as clock:
            session.get(origin.url('/page'), expire_after=60)
            clock.advance(59)
            assert session.get(origin.url('/page'), expire_after=60).from_cache
            clock.advance(timedelta(seconds=2))
            assert not session.get(origin.url('/page'), expire_after=60).from_cache

    def test_it_stands_still(self) -> None:
        start = datetime(2030, 1, 1)
        with ManualClock(start) as clock:
            assert clock.now == datetime.now(timezone.utc) == start.replace(tzinfo=timezone.utc)
            clock.move_to(datetime(2031, 1, 1, tzinfo=timezone(timedelta(hours=1))))
            assert clock.now == datetime(2030, 12, 31, 23, tzinfo=timezone.utc)
        with pytest.raises(RuntimeError, match='with'):
            clock.advance(1)


class TestManualExecutor:
    @pytest.mark.parametrize('cache_control', [False, 'strict'])
    def test_renewals_wait(self, session: CachedSession, origin: Origin, cache_control: Any) -> None:
        session.settings.cache_control = cache_control
        session.settings.stale_while_revalidate = True
        stale = [('Cache-Control', 'max-age=0, stale-while-revalidate=1000'), ('Age', '5')]
        origin.add('/page', answer(200, b'old', stale), answer(200, b'new', FRESH))
        url = origin.url('/page')
        session.get(url, expire_after=None if cache_control else -5)
        with ManualExecutor() as background:
            assert [session.get(url).content for _ in range(3)] == [b'old'] * 3
            assert (background.waiting, origin.hits()) == ([url], 1)
            assert background.run() == 1
            assert (background.waiting, origin.hits()) == ([], 2)
            assert background.run() == 0
        assert (session.get(url).content, origin.hits()) == (b'new', 2)

    def test_what_still_waits_is_forgotten(self, session: CachedSession, origin: Origin) -> None:
        session.settings.stale_while_revalidate = True
        origin.add('/page', body=b'x')
        session.get(origin.url('/page'), expire_after=-5)
        with ManualExecutor() as background:
            session.get(origin.url('/page'))
            assert background.waiting
        assert background.waiting == []
        with ManualExecutor() as background:  # and can be begun once more
            session.get(origin.url('/page'))
            assert background.run() == 1
        assert origin.hits() == 2


class TestContract:
    def test_the_guide_lists_what_may_be_lacking(self) -> None:
        page = (Path(__file__).parents[2] / 'docs' / 'testing.md').read_text('utf-8')
        table = page.partition('| name | what it means to have it |\n|---|---|\n')[2].partition('\n\n')[0]
        assert table.splitlines() == [f'| `{name}` | {meaning} |' for name, meaning in CAPABILITIES.items()]

    def test_unknown_capabilities(self) -> None:
        with pytest.raises(TypeError, match='forks is not one of: any key'):
            type('Mine', (StorageContract,), {'lacks': {'forks': 'reason'}})

    def test_a_reason_is_asked_for(self) -> None:
        with pytest.raises(TypeError, match='reason for forking'):
            type('Mine', (CacheContract,), {'lacks': {'forking': ''}})

    def test_failures_show_what_was_compared(self, tmp_path: Path) -> None:
        """As pytest shows it for tests of the author's own; and what is lacking is skipped with its reason"""
        (tmp_path / 'test_mine.py').write_text(THIRD_PARTY)
        chosen = 'test_overwriting_replaces or test_similar_keys or test_set_and_get'
        options = ['-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', '-rs', '-k', chosen]
        done = subprocess.run(
            [sys.executable, '-m', 'pytest', *options, 'test_mine.py'], cwd=tmp_path, capture_output=True, text=True
        )
        assert '1 failed, 1 passed, 1 skipped' in done.stdout, done.stdout + done.stderr
        assert 'assert 2 == 1' in done.stdout
        assert 'where 2 = len(' in done.stdout
        assert 'lacks any key: keys are names of files' in done.stdout


THIRD_PARTY = """
from requests_cache.backends.memory import DictStorage
from requests_cache.testing import StorageContract


class Miscounting(DictStorage):
    def __len__(self):
        return super().__len__() * 2


class TestMine(StorageContract):
    lacks = {'any key': 'keys are names of files'}
    serializers = ('pickle',)

    def open_storage(self, place, kind='responses', **kwargs):
        return Miscounting(**{'serializer': 'pickle' if kind == 'responses' else None, **kwargs})
"""


class TestImports:
    def test_every_public_name(self) -> None:
        for name in requests_cache.testing.__all__:
            assert getattr(requests_cache.testing, name).__name__ == name
        with pytest.raises(AttributeError, match='nothing'):
            requests_cache.testing.nothing  # noqa: B018

    def test_sessions_import_nothing_of_it(self) -> None:
        done = python(
            'import sys, requests_cache',
            "requests_cache.CachedSession(backend='memory').close()",
            "print([m for m in sys.modules if 'requests_cache.testing' in m or m in ('pytest', 'hypothesis')])",
        )
        assert (done.stdout, done.stderr) == ('[]\n', '')

    @pytest.mark.parametrize(
        ('library', 'statement'),
        [
            ('pytest', 'import requests_cache.testing'),
            ('hypothesis', 'from requests_cache.testing import StorageContract'),
            ('time_machine', 'from requests_cache.testing import ManualClock; ManualClock()'),
        ],
    )
    def test_a_library_is_missing(self, library: str, statement: str) -> None:
        done = python('import sys', f'sys.modules[{library!r}] = None', statement)
        assert "install it with: pip install 'requests-cache[testing]'" in done.stderr

    def test_doubles_need_no_hypothesis(self) -> None:
        done = python(
            'import sys',
            "sys.modules['hypothesis'] = sys.modules['time_machine'] = None",
            'from requests_cache.testing import FaultyStorage, ManualExecutor, Origin',
        )
        assert done.stderr == ''
