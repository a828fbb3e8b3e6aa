"""What cannot be done: a sentence on standard error, exit status 2, and nothing is made or changed"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import environment, run, succeed
from support.stored import make_cache


def trouble(*arguments: object) -> str:
    """The sentence that a command ends with which cannot be carried out"""
    done = run(*arguments)
    assert (done.status, done.out) == (2, '')
    assert 'Traceback' not in done.err
    return done.err


@pytest.mark.parametrize(
    'name', ['no.sqlite', 'no', 'no/', 'no/such/cache.sqlite', 'sqlite:///no.sqlite', 'file:///no/']
)
def test_a_cache_that_does_not_exist_is_not_made(name: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob('*'))
    assert trouble('list', name).startswith('Error: There is no cache at /')
    assert sorted(tmp_path.rglob('*')) == before


def foreign_places(tmp_path: Path) -> dict[Path, str]:
    """What is no cache, and what is said of it"""
    text, empty, database, shelf, folder = (tmp_path / n for n in ('a.txt', 'b', 'c.db', 'd.db', 'e'))
    text.write_text('SELECT')
    empty.touch()
    for path, table in ((database, 'CREATE TABLE notes (id)'), (shelf, 'CREATE TABLE responses (id, answer)')):
        with sqlite3.connect(path) as connection:
            connection.execute(table)
        connection.close()
    folder.mkdir()
    (folder / 'letter.json').write_text('{}')
    other = "is an SQLite database, but not a cache: it has no table 'responses' with keys and values."
    return {
        text: 'is not an SQLite database, so it is not a cache.',
        empty: 'is empty, so it is not a cache.',
        database: other,
        shelf: other,
        folder: 'is a directory, but not a cache: it contains no responses.',
    }


def test_what_belongs_to_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    places = foreign_places(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    for path, reason in places.items():
        assert trouble('prune', path, '--yes') == f'Error: {path} {reason}\n'
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


def test_a_damaged_database_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / 'pages.sqlite'
    make_cache(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = b'\xff' * 3996
    path.write_bytes(content)
    assert trouble('list', path).startswith(f'Error: {path} is damaged, or not an SQLite database: ')
    assert path.read_bytes() == content


def test_a_database_that_is_damaged_further_back(tmp_path: Path) -> None:
    path = tmp_path / 'pages.sqlite'
    make_cache(path)
    content = bytearray(path.read_bytes())
    content[8 * 4096 :] = os.urandom(len(content) - 8 * 4096)
    path.write_bytes(content)
    done = run('verify', path)
    assert done.status in (1, 2)
    assert 'Traceback' not in done.err


def test_caches_in_memory_are_out_of_reach() -> None:
    for name in ('memory:', 'sqlite:///:memory:', ':memory:'):
        assert 'in memory. Only the process that created it can open it.' in trouble('info', name)


def test_wrong_urls_are_said_without_their_passwords() -> None:
    for name in (
        'redis://u:SECRET@h/pages',
        'mongodb://u:SEC@RET@h:x/',
        'postgresql://u:SECRET@h/',
        'redis://:SECRET@localhost:1/0',
    ):
        text = trouble('info', name)
        assert text.startswith('Error: ')
        assert 'SEC' not in text
        assert 'RET' not in text


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    assert 'Redis at localhost:1 cannot be reached to read from it' in trouble('list', 'redis://localhost:1/0')


@pytest.mark.parametrize('library', ['click', 'rich'])
def test_a_missing_library_is_named_with_what_brings_it(library: str) -> None:
    code = f'import sys; sys.modules[{library!r}] = None; from requests_cache.cli import main; main()'
    done = subprocess.run([sys.executable, '-c', code, 'info', 'x'], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ''
    assert done.stderr == (
        f'requests-cache: the command line needs the library {library!r}; install it with: '
        "pip install 'requests-cache[cli]'\n"
    )


def test_help_needs_none_of_the_drivers_nor_rich() -> None:
    code = (
        'import sys; from requests_cache.cli.app import run; status = run(["--help"])\n'
        'print({"rich", "redis", "pymongo", "boto3"} & set(sys.modules), status, file=sys.stderr)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment(None))
    assert done.stderr == 'set() 0\n'
    assert 'requests-cache info my_cache.sqlite' in done.stdout


def test_a_missing_driver_is_said(tmp_path: Path) -> None:
    code = "import sys; sys.modules['redis'] = None; from requests_cache.cli import main; main()"
    done = subprocess.run([sys.executable, '-c', code, 'info', 'redis://localhost:1/0'], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: The Redis backend needs the library 'redis'; install it with: pip install 'requests-cache[redis]'\n"
    )


def test_what_is_done_can_be_followed(tmp_path: Path) -> None:
    path = tmp_path / 'pages.sqlite'
    make_cache(path, serializer='json')
    assert succeed('info', path).err == ''
    assert 'Error: Unable to deserialize response' in succeed('info', path, '-v').err


def test_where_there_is_no_output_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / 'pages.sqlite'
    make_cache(path)
    command = f'"{sys.executable}" -m requests_cache list "{path}" >&-'
    done = subprocess.run(['sh', '-c', command], capture_output=True, text=True, env=environment(None))
    assert (done.returncode, done.stderr) == (0, '')
