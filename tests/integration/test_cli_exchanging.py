"""`requests-cache export`, `import`, `explain` and `report`"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from requests_cache import CachedSession
from requests_cache.testing.origin import Origin, redirect
from requests_cache.testing.values import facts

HAR = Path(__file__).parents[1] / 'data' / 'har'


def run(*arguments: Any, cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, '-m', 'requests_cache', *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding='utf-8', timeout=120, **kwargs)


@pytest.fixture
def cache(tmp_path: Path, origin: Origin) -> Path:
    """A cache with a page, an image, and a redirect to the page"""
    origin.add('/page', body='Grüße'.encode(), headers=[('Content-Type', 'text/html; charset=utf-8')])
    origin.add('/image', body=bytes(range(256)), headers=[('Content-Type', 'image/png')])
    origin.add('/from', redirect('/page'))
    session = CachedSession(tmp_path / 'cache')
    for path in ('/image', '/from'):
        session.get(origin.url(path))
    session.close()
    return tmp_path / 'cache.sqlite'


def test_there_and_back(cache: Path, origin: Origin, tmp_path: Path) -> None:
    done = run('export', cache, '--har', '-o', 'cache.har', cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, '3 entries written to cache.har\n', '')
    done = run('import', 'copy/', 'cache.har', cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('3 entries imported into ')
    source, copy = CachedSession(cache), CachedSession(tmp_path / 'copy', backend='filesystem')
    for path in ('/image', '/from', '/page'):
        before, after = (s.get(origin.url(path), only_if_cached=True) for s in (source, copy))
        assert before.status_code == after.status_code
        if before.status_code == 200:
            assert facts(before) == facts(after)
    source.close()
    copy.close()


def test_export_to_a_pipe(cache: Path, tmp_path: Path) -> None:
    done = run('export', cache, '--har', '--content-type', 'image/*', cwd=tmp_path)
    assert done.stderr == ''
    [entry] = json.loads(done.stdout)['log']['entries']
    assert entry['response']['content']['encoding'] == 'base64'


def test_nothing_is_replaced_unasked(cache: Path, tmp_path: Path) -> None:
    for command in (('export', cache, '--har', '-o', 'out'), ('report', cache, '-o', 'out')):
        (tmp_path / 'out').write_text('mine')
        done = run(*command, cwd=tmp_path, input='n\n')
        assert done.returncode == 1
        assert (tmp_path / 'out').read_text() == 'mine'
        assert run(*command, '--yes', cwd=tmp_path).returncode == 0
        assert (tmp_path / 'out').read_text('utf-8') != 'mine'
    assert not list(tmp_path.glob('.har-*'))


@pytest.mark.parametrize('browser', ['chromium', 'firefox'])
def test_what_a_browser_has_recorded(browser: str, tmp_path: Path) -> None:
    done = run('import', 'offline.sqlite', HAR / f'{browser}.har', '--expire-after', '30d', cwd=tmp_path)
    assert done.returncode == 0
    done = run('explain', 'offline.sqlite', 'http://127.0.0.1:8765/style.css', cwd=tmp_path)
    assert done.returncode == 0
    assert 'hit: the stored response is fresh' in done.stdout


@pytest.mark.parametrize('content', ['', '<html>', '{"log": {}}'])
def test_no_har_file(content: str, tmp_path: Path) -> None:
    (tmp_path / 'file.har').write_text(content)
    done = run('import', 'new.sqlite', 'file.har', cwd=tmp_path)
    assert done.returncode == 2
    assert 'not a HAR file' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'new.sqlite').exists()


def test_explain(cache: Path, origin: Origin, tmp_path: Path) -> None:
    before = cache.read_bytes()
    done = run('explain', cache, origin.url('/image?page=2'), cwd=tmp_path)
    assert done.returncode == 1
    assert 'miss: nothing is stored for this request' in done.stdout
    assert 'stored without the parameter `page`' in done.stdout
    done = run('explain', cache, origin.url('/image'), '--json', cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)['outcome']) == (0, 'hit')
    done = run('explain', cache, origin.url('/image'), '-H', 'no field', cwd=tmp_path)
    assert (done.returncode, 'Name: value' in done.stderr) == (2, True)
    done = run('explain', cache, 'no URL', cwd=tmp_path)
    assert (done.returncode, 'Traceback' in done.stderr) == (2, False)
    assert cache.read_bytes() == before


def test_report(cache: Path, tmp_path: Path) -> None:
    done = run('report', cache, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('<!doctype html>')
    assert 'cache.sqlite' in done.stdout
