"""`delete` and `prune`: nothing goes without a question or `--yes`, and nothing that is of use goes at all"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.commands import run, succeed
from support.stored import make_cache, pages, response_to

from requests_cache import BaseCache, SQLiteCache, init_backend, new_encryption_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'pages.sqlite'


@pytest.fixture
def keys(path: Path) -> list[str]:
    return make_cache(path)


def left(path: object, **kwargs: object) -> set[str]:
    """Keys of what is in a cache"""
    cache: BaseCache = init_backend(str(path), **kwargs)
    try:
        return set(cache.responses)
    finally:
        cache.close()


def test_how_much_is_said_in_the_question_and_after_it(path: Path, keys: list[str]) -> None:
    done = run('delete', path, '--host', 'www.example.com', answer='y\n')
    assert done.status == 0
    assert done.err == f'Remove 3 entries (1.53 MiB) from {path}? [y/N] '
    assert done.out == '3 entries removed\n'
    assert left(path) == set(keys[:3])


@pytest.mark.parametrize('answer', ['n\n', '', 'no way\n', '\n'])
def test_any_other_answer_is_no(path: Path, keys: list[str], answer: str) -> None:
    done = run('delete', path, '--all', answer=answer)
    assert (done.status, done.out) == (1, '')
    assert done.err.startswith(f'Remove all 6 entries from {path}? [y/N] ')
    assert done.err.endswith('Nothing was removed.\n')
    assert ('Give --yes' in done.err) is (answer == '')
    assert left(path) == set(keys)


def test_keys_beginnings_and_urls_name_what_goes(path: Path, keys: list[str]) -> None:
    done = run('delete', path, keys[0], keys[1][:10], 'https://www.example.com/logo.png', 'nothing', '--yes')
    assert (done.status, done.out) == (0, '3 entries removed\n')
    assert done.err == f'There is no response for nothing in {path}.\n'
    assert left(path) == {keys[2], keys[3], keys[5]}
    again = run('delete', path, keys[0], '--yes')
    assert (again.status, again.out) == (1, '')


def test_a_url_stands_for_all_responses_to_it(path: Path) -> None:
    url = 'https://api.example.com/items'
    kept, *_ = make_cache(path, *(response_to(u, method=m) for u in (url + '/1', url) for m in ('GET', 'POST')))
    assert succeed('delete', path, url, '--yes').out == '2 entries removed\n'
    assert len(left(path)) == 2
    assert kept in left(path)


def test_a_dry_run_says_what_would_go(path: Path, keys: list[str]) -> None:
    done = succeed('delete', path, '--status', '404', '--dry-run')
    assert (done.out, done.err) == (f'{keys[2]}\n', f'1 entry (2 bytes) would be removed from {path}.\n')
    assert succeed('delete', path, '--all', '--dry-run').err == f'all 6 entries would be removed from {path}.\n'
    assert succeed('prune', path, '--dry-run').out.split() == sorted([keys[1], keys[2]])
    assert left(path) == set(keys)


def test_all_goes_with_its_redirects(path: Path, keys: list[str]) -> None:
    cache = SQLiteCache(path)
    cache.redirects['a'] = keys[0]
    cache.close()
    assert succeed('delete', path, '--all', '--yes').out == 'all 6 entries removed\n'
    cache = SQLiteCache(path)
    assert (len(cache.responses), len(cache.redirects)) == (0, 0)
    cache.close()


def test_nothing_to_delete_is_no_failure_and_no_question(path: Path, keys: list[str]) -> None:
    done = succeed('delete', path, '--host', 'nowhere')
    assert (done.out, done.err) == ('0 entries removed\n', '')


def test_prune_removes_what_has_expired_what_is_damaged_and_redirects_to_nothing(tmp_path: Path) -> None:
    directory = tmp_path / 'pages'
    keys = make_cache(f'file://{directory}/')
    (directory / f'{keys[0]}.json').write_bytes(b'{"broken": ')
    cache = init_backend(f'file://{directory}/')
    cache.redirects['somewhere'] = 'gone'
    cache.redirects['elsewhere'] = keys[3]
    cache.close()
    done = run('prune', directory, answer='y\n')
    assert done.err == f'Remove 3 entries (15 bytes) from {directory}? [y/N] '
    assert done.out == '3 entries removed\n1 dangling redirect removed\n'
    cache = init_backend(f'file://{directory}/')
    assert set(cache.responses) == set(keys[3:])
    assert dict(cache.redirects) == {'elsewhere': keys[3]}
    cache.close()


def test_prune_keeps_what_has_expired_since(path: Path, keys: list[str]) -> None:
    assert succeed('prune', path, '--expired-for', '7d', '--yes').out == '1 entry removed\n'
    assert left(path) == set(keys) - {keys[1]}


def test_prune_removes_bodies_that_killed_writers_left_behind(path: Path, keys: list[str]) -> None:
    cache = SQLiteCache(path)
    with cache.responses.connection(commit=True) as connection:
        for number in range(250):  # more than are removed in one step
            connection.execute(f"INSERT INTO responses_bodies (body, key) VALUES ('0-0-0-{number}', 'key')")
    assert len(list(cache.responses.pieces.unused())) == 250
    cache.close()
    succeed('prune', path, '--yes')
    cache = SQLiteCache(path)
    assert list(cache.responses.pieces.unused()) == []
    assert len(next(r for r in cache.filter() if r.url.endswith('video')).content) == 1_600_000
    cache.close()


def test_what_is_encrypted_with_another_key_stays(tmp_path: Path) -> None:
    path, key = tmp_path / 'mixed.sqlite', new_encryption_key()
    plain = make_cache(path, response_to('https://a.example.com/', expires_in=timedelta(-1)), *pages()[3:5])
    sealed = make_cache(path, *pages()[:2], encryption_key=key)
    done = succeed('prune', path, '--yes')
    assert done.err == 'Kept 2 entries that may need another key.\n'
    assert left(path) == {*plain[1:], *sealed}
    assert succeed('delete', path, '--unreadable', '--yes').out == '0 entries removed\n'
    assert left(path) == {*plain[1:], *sealed}


def test_prune_does_not_take_a_cache_for_damaged_that_it_does_not_understand(tmp_path: Path) -> None:
    path = tmp_path / 'pages.sqlite'
    keys = make_cache(path, serializer='json')
    done = run('prune', path, '--serializer', 'pickle', '--yes')
    assert (done.status, done.out) == (2, '')
    assert done.err.startswith(f'Error: None of the entries in {path} can be read, so nothing was removed.')
    assert left(path) == set(keys)


def test_a_response_that_was_renewed_while_the_question_was_asked_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, so that something can happen before the answer"""
    from requests_cache.cli import app, removing

    make_cache(path, *pages()[:3])

    def renew_and_agree(question: str, yes: bool) -> bool:
        make_cache(path, response_to(pages()[1].url, expires_in=timedelta(days=1)))
        return True

    monkeypatch.setattr(removing, 'confirm', renew_and_agree)
    # Logging would stay as it is set up there, for other tests as well
    monkeypatch.setattr(app, 'show_logs', lambda: None)
    assert app.run(['prune', str(path)]) == 0
    assert capsys.readouterr().out == '1 entry removed\n'
    assert len(left(path)) == 2
