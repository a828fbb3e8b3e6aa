"""`copy` and `verify`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.commands import run, succeed
from support.stored import LARGE, make_cache, pages

from requests_cache import SQLiteCache, init_backend, new_encryption_key
from requests_cache.serializers.sealing import is_sealed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'pages.sqlite'


@pytest.fixture
def keys(path: Path) -> list[str]:
    return make_cache(path)


def raw_values(path: Path) -> dict[str, Any]:
    """What a database holds for each entry"""
    cache = SQLiteCache(path)
    statement = 'SELECT r.key, coalesce(value, record) FROM responses r LEFT JOIN responses_bodies b ON r.key = b.key'
    with cache.responses.connection() as connection:
        values = dict(connection.execute(statement).fetchall())
    cache.close()
    return values


def test_a_copy_in_another_format_is_found_by_its_own_keys(path: Path, keys: list[str], tmp_path: Path) -> None:
    files = tmp_path / 'files'
    assert succeed('copy', path, f'{files}/', '--serializer', 'yaml').out == f'6 entries copied to {files}\n'
    assert len(list(files.glob('*.yaml'))) == 5  # and a large one in a directory of its own
    cache = init_backend(f'file://{files}/?serializer=yaml')
    assert all(cache.contains(url=response.url) for response in pages())
    assert set(cache.responses).isdisjoint(keys)
    cache.close()


def test_a_copy_can_be_compressed_and_encrypted_and_back(path: Path, keys: list[str], tmp_path: Path) -> None:
    (tmp_path / 'key').write_text(new_encryption_key())
    sealed, plain = tmp_path / 'sealed.sqlite', tmp_path / 'plain.sqlite'
    succeed('copy', path, sealed, '--compression', 'zlib', '--target-encryption-key-file', tmp_path / 'key')
    assert all(map(is_sealed, raw_values(sealed).values()))
    assert sealed.stat().st_size < path.stat().st_size / 4
    with_key = ('--encryption-key-file', tmp_path / 'key')
    succeed('copy', sealed, plain, *with_key, '--decrypt')
    assert not any(map(is_sealed, raw_values(plain).values()))
    assert {row['key'] for row in succeed('list', plain, '--json').json} == set(keys)
    cache = SQLiteCache(plain)
    assert cache.responses[keys[5]].content == LARGE
    cache.close()


def test_what_is_encrypted_is_not_copied_in_the_clear_by_mistake(tmp_path: Path) -> None:
    key, source, target = new_encryption_key(), tmp_path / 'source.sqlite', tmp_path / 'target.sqlite'
    make_cache(source, encryption_key=key)
    succeed('copy', source, target, env={'REQUESTS_CACHE_ENCRYPTION_KEY': key})
    assert all(map(is_sealed, raw_values(target).values()))


def test_entries_that_are_there_are_replaced_only_if_that_is_wanted(
    path: Path, keys: list[str], tmp_path: Path
) -> None:
    target = tmp_path / 'target.sqlite'
    make_cache(target, *pages()[:1])
    done = run('copy', path, target, answer='n\n')
    assert (done.status, done.out) == (1, '')
    assert done.err.startswith(f'{target} holds 1 entry. Replace those that are also in {path}? [y/N] ')
    assert succeed('copy', path, target, '--yes').out == f'6 entries copied to {target}\n'


def test_a_cache_is_not_copied_to_itself_or_over_something_else(path: Path, keys: list[str], tmp_path: Path) -> None:
    assert run('copy', path, path, '--yes').err == f'Error: {path} cannot be copied to itself.\n'
    notes = tmp_path / 'notes.txt'
    notes.write_text('mine')
    folder = tmp_path / 'folder'
    folder.mkdir()
    (folder / 'letter.json').write_text('mine')
    for target, reason in ((notes, 'is not an SQLite database'), (folder, 'is a directory, but not a cache')):
        done = run('copy', path, target, '--yes')
        assert (done.status, done.out) == (2, '')
        assert reason in done.err
    assert notes.read_text() == (folder / 'letter.json').read_text() == 'mine'
    assert [p.name for p in folder.iterdir()] == ['letter.json']


def test_what_cannot_be_read_is_counted_and_the_rest_copied(path: Path, keys: list[str], tmp_path: Path) -> None:
    damage(path, keys[0])
    target = tmp_path / 'target.sqlite'
    done = run('copy', path, target)
    assert (done.status, done.out) == (1, f'5 entries copied to {target}\n')
    assert (
        done.err == f'Warning: Entry was not copied, because it cannot be read: {keys[0]}\n1 entry could not be read.\n'
    )


def damage(path: Path, *keys: str) -> None:
    """Change a byte in the middle of some entries"""
    values = raw_values(path)
    cache = SQLiteCache(path)
    with cache.responses.connection(commit=True) as connection:
        for key in keys:
            value = bytearray(values[key])
            value[len(value) // 2] ^= 1
            for table, column in (('responses', 'value'), ('responses_bodies', 'record')):
                statement = f'UPDATE {table} SET {column} = ? WHERE key = ? AND {column} IS NOT NULL'
                connection.execute(statement, (bytes(value), key))
    cache.close()


def test_verify_reads_all_of_what_is_there(path: Path, keys: list[str]) -> None:
    done = succeed('verify', path)
    assert (done.out, done.err) == ('', '6 of 6 entries are intact.\n')
    assert succeed('verify', path, '--json').json == []


def test_verify_of_a_single_entry(path: Path) -> None:
    (key,) = make_cache(path, *pages()[5:])
    assert succeed('verify', path).err == '1 of 1 entry is intact.\n'
    damage(path, key)
    assert run('verify', path).err == '0 of 1 entry is intact.\n'


def test_verify_lists_what_is_damaged(path: Path, keys: list[str]) -> None:
    damage(path, keys[1], keys[3])
    done = run('verify', path)
    assert done.status == 1
    assert [line.split()[0] for line in done.out.splitlines()] == sorted([keys[1], keys[3]])
    assert 'checksum' in done.out
    assert done.err == '4 of 6 entries are intact.\n'
    listed = run('verify', path, '--json').json
    assert {damaged['key'] for damaged in listed} == {keys[1], keys[3]}
    assert all(damaged['reason'] for damaged in listed)


def test_verify_reads_every_piece_of_a_large_body(tmp_path: Path) -> None:
    directory = tmp_path / 'files'
    make_cache(f'file://{directory}/')
    body = max((p for p in directory.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(body.read_bytes())
    content[-10] ^= 1
    body.write_bytes(content)
    done = run('verify', directory)
    assert done.status == 1
    assert 'https://www.example.com/video: piece ' in done.out
    assert 'its checksum does not match' in done.out
    assert done.err == '5 of 6 entries are intact.\n'


def test_verify_takes_signatures_that_are_wrong_for_damage(path: Path, keys: list[str]) -> None:
    env = {'REQUESTS_CACHE_SECRET_KEY': 's3cret'}
    signed = path.with_name('signed.sqlite')
    succeed('copy', path, signed, '--serializer', 'safe_pickle', env=env)
    assert succeed('verify', signed, env=env).err == '6 of 6 entries are intact.\n'
    (key, *_) = (row['key'] for row in succeed('list', signed, '--json', env=env).json)
    damage(signed, key)
    done = run('verify', signed, '--serializer', 'safe_pickle', env=env)
    assert done.status == 1
    assert done.out.startswith(f'{key}  Signature ')


def test_verify_does_not_take_what_is_encrypted_for_damaged(tmp_path: Path) -> None:
    path, key = tmp_path / 'sealed.sqlite', new_encryption_key()
    sealed = make_cache(path, encryption_key=key)
    done = run('verify', path)
    assert done.status == 2
    assert 'are encrypted. Give their key' in done.err
    damage(path, sealed[0])
    done = run('verify', path, env={'REQUESTS_CACHE_ENCRYPTION_KEY': key})
    assert (done.status, done.out.split()[0]) == (1, sealed[0])
    assert 'damaged' in done.out
