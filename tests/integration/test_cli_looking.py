"""`info`, `list` and `show` in pipes"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.commands import run, succeed
from support.stored import LARGE, fill, make_cache, pages, response_to

from requests_cache import SQLiteCache, init_backend

HOSTILE = 'https://api.example.com/\x1b[2J\x9b31m\u202e[red]\r\nAge: 0'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'pages.sqlite'


@pytest.fixture
def keys(path: Path) -> list[str]:
    return make_cache(path)


def urls(*arguments: object) -> list[str]:
    """The last parts of what is listed"""
    return [row['url'].rpartition('/')[2] for row in succeed('list', *arguments, '--json').json]


def test_info_is_for_people_and_for_programs(path: Path, keys: list[str]) -> None:
    text = succeed('info', path).out
    assert f'cache       {path}\n' in text
    assert 'serializer  pickle\n' in text
    assert 'entries     6\n' in text
    assert max(map(len, text.splitlines()[4:])) <= 80
    facts = succeed('info', path, '--json').json
    assert facts['stored_bytes'] == path.stat().st_size
    assert facts['by_status'] == {'200': {'entries': 5, 'bytes': facts['bytes'] - 2}, '404': {'entries': 1, 'bytes': 2}}


def test_a_list_is_readable_at_80_characters_but_for_long_urls(path: Path, keys: list[str]) -> None:
    heading, *rows = succeed('list', path, '--sort', 'size').out.splitlines()
    assert heading.split() == ['KEY', 'STATUS', 'SIZE', 'AGE', 'EXPIRES', 'URL']
    assert heading.index('URL') <= 50
    by_url = {row[heading.index('URL') :]: row.split() for row in rows}
    assert by_url['https://api.example.com/missing'][:6] == [keys[2], '404', '2', 'bytes', '3d', '1h']
    assert by_url['https://www.example.com/video'][:6] == [keys[5], '200', '1.53', 'MiB', '1h', 'never']


def test_conditions_choose_what_is_listed(path: Path, keys: list[str]) -> None:
    """Each of them is looked at in tests/unit/test_cli_values.py"""
    assert set(urls(path, '--host', 'api.*', '--host', 'WWW.*', '--larger-than', '2kB')) == {'', 'video'}
    assert set(urls(path, '--fresh', '--older-than', '1h30m')) == {'items?page=1', ''}


def test_lists_are_sorted_and_cut_off(path: Path, keys: list[str]) -> None:
    assert urls(path, '--sort', 'expires', '--limit', '3') == ['items?page=2', 'missing', 'items?page=1']
    everything = ['video', 'logo.png', '', 'missing', 'items?page=2', 'items?page=1']
    assert urls(path, '--sort', 'url', '--reverse') == everything


def test_a_json_list_is_one_array_with_an_entry_on_each_line(path: Path, keys: list[str]) -> None:
    lines = succeed('list', path, '--sort', 'key', '--json').out.splitlines()
    assert [json.loads(line.removesuffix(','))['key'] for line in lines[1:-1]] == sorted(keys)
    assert succeed('list', path, '--host', 'nowhere', '--json').out == '[]\n'
    assert succeed('list', path, '--host', 'nowhere').out == ''


def test_what_is_looked_at_does_not_count_as_used(path: Path) -> None:
    cache = SQLiteCache(path, max_entries=3)
    oldest, *_ = fill(cache, *pages()[:3])
    cache.close()
    for arguments in (['list'], ['info'], ['show', oldest]):
        succeed(arguments[0], f'sqlite:///{path}?max_entries=3', *arguments[1:])
    cache = SQLiteCache(path, max_entries=3)
    fill(cache, pages()[3])
    assert oldest not in cache.responses
    cache.close()


def test_show_finds_entries_by_key_beginning_and_url(path: Path, keys: list[str]) -> None:
    texts = [succeed('show', path, name).out for name in (keys[2], keys[2][:9], 'https://API.example.com/missing')]
    assert len(set(texts)) == 1
    assert texts[0].startswith(
        'GET https://api.example.com/missing\nAccept: */*\n\n404 OK\nContent-Type: application/json'
    )
    assert f'\nkey       {keys[2]}\nbody      2 bytes\n' in texts[0]
    facts = succeed('show', path, keys[2], '--json').json
    assert facts['headers'] == [['Content-Type', 'application/json; charset=utf-8']]
    assert facts['is_expired'] is True


def test_show_finds_other_methods_if_there_is_nothing_else_for_a_url(path: Path) -> None:
    (key,) = make_cache(path, response_to('https://api.example.com/search?b=1&a=2', method='POST'))
    assert succeed('show', path, 'https://api.example.com/search?a=2&b=1', '--json').json['key'] == key


def test_bodies_go_to_a_pipe_or_a_file_as_they_are(path: Path, keys: list[str], tmp_path: Path) -> None:
    assert succeed('show', path, keys[0], '--body').out == '{"items": [1, 2, 3]}'
    assert succeed('show', path, keys[4], '--json', '--body').json['content_base64'].startswith('iVBORwBA'[:6])
    target = tmp_path / 'video.mp4'
    assert succeed('show', path, keys[5], '-o', target).out == ''
    assert target.read_bytes() == LARGE
    assert [p.name for p in tmp_path.iterdir() if 'part' in p.name] == []


def test_a_file_is_written_over_only_if_that_is_wanted(path: Path, keys: list[str], tmp_path: Path) -> None:
    target = tmp_path / 'items.json'
    target.write_text('mine')
    kept = run('show', path, keys[0], '-o', target, answer='n\n')
    assert (kept.status, target.read_text()) == (1, 'mine')
    assert f'{target} exists. Replace it? [y/N]' in kept.err
    succeed('show', path, keys[0], '-o', target, '--yes')
    assert target.read_text() == '{"items": [1, 2, 3]}'


def test_what_is_not_there_or_not_unique_is_said(path: Path, keys: list[str]) -> None:
    missing = run('show', path, 'https://api.example.com/nothing')
    assert (missing.status, missing.out) == (1, '')
    assert missing.err == f'There is no response for https://api.example.com/nothing in {path}.\n'
    cache = SQLiteCache(path)
    cache.responses['same-1'] = cache.responses['same-2'] = pages()[0]
    cache.close()
    several = run('show', path, 'same')
    assert several.status == 2
    assert several.err.splitlines() == [
        'Error: same matches several entries. Give more of the key:',
        'same-1',
        'same-2',
    ]


def test_what_is_stored_does_nothing_to_a_terminal(path: Path) -> None:
    """Control characters, text that runs from right to left, and markup are shown, not done"""
    hostile = response_to(HOSTILE, content_type='text/\x1b]0;title\x07html')
    hostile.headers['X-\x1b[1m'] = '\x08\x7f[bold]'
    (key,) = make_cache(path, hostile)
    for arguments in (
        ['list', path],
        ['list', path, '--json'],
        ['show', path, key],
        ['info', path],
        ['show', path, key, '--json'],
    ):
        out = succeed(*arguments).out
        assert [c for c in out if not c.isprintable() and c != '\n'] == []
    assert r'\x1b[2J\x9b31m\u202e[red]\r\nAge: 0' in succeed('list', path).out


def test_the_serializer_is_found_out(tmp_path: Path) -> None:
    places = [
        (tmp_path / 'json.sqlite', 'json'),
        (f'{tmp_path / "files"}/', 'yaml'),
        (f'{tmp_path / "more"}/', 'orjson'),
    ]
    for place, serializer in places:
        options = {'backend': 'filesystem'} if str(place).endswith('/') else {}
        make_cache(place, serializer=serializer, **options)
        facts = succeed('info', place, '--json').json
        assert (facts['serializer'], facts['entries'], facts['unreadable']) == (serializer, 6, 0)
        succeed('show', place, 'https://www.example.com/video')


def test_signed_and_encrypted_caches_take_their_keys_from_the_environment_or_a_file(tmp_path: Path) -> None:
    from requests_cache import new_encryption_key, safe_pickle_serializer

    key, signed, sealed = new_encryption_key(), tmp_path / 'signed.sqlite', tmp_path / 'sealed.sqlite'
    make_cache(signed, serializer=safe_pickle_serializer(secret_key='s3cret'))
    env = {'REQUESTS_CACHE_SECRET_KEY': 's3cret'}
    assert succeed('info', signed, '--json', env=env).json['serializer'] == 'safe_pickle'
    make_cache(sealed, encryption_key=key)
    (tmp_path / 'key').write_text(f'{key}\n')
    assert succeed('info', sealed, '--json', '--encryption-key-file', tmp_path / 'key').json['entries'] == 6
    facts = succeed('info', sealed, '--json', env={'REQUESTS_CACHE_ENCRYPTION_KEY': key}).json
    assert (facts['entries'], facts['unreadable']) == (6, 0)
    wrong = run('list', sealed)
    assert (wrong.status, wrong.out) == (0, '')
    assert wrong.err == '6 entries cannot be read. "requests-cache verify" lists unreadable entries.\n'


def test_info_of_nothing(tmp_path: Path) -> None:
    init_backend(str(tmp_path / 'empty.sqlite')).close()
    facts = succeed('info', tmp_path / 'empty.sqlite', '--json').json
    assert (facts['entries'], facts['oldest'], facts['largest']) == (0, None, None)
    assert succeed('list', tmp_path / 'empty.sqlite').out == ''


def test_redirects_are_found_by_either_url(path: Path) -> None:
    day = timedelta(days=1)
    first = response_to('https://a.example.com/', status_code=302)
    last = response_to('https://b.example.com/', age=day)
    first.headers['Location'] = last.url
    last.history = [first]
    make_cache(path, last)
    a, b = (succeed('show', path, f'https://{host}.example.com/').out for host in 'ab')
    assert a == b
    assert a.startswith('GET https://a.example.com/\n302 → https://b.example.com/\nGET https://b.example.com/\n')
    assert succeed('info', path, '--json').json['redirects'] == 1
