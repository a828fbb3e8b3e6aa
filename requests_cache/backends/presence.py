"""Checking whether there is a cache at an address, without creating one or writing anything"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

from .addresses import Address
from .filesystem.names import LARGE_DIRECTORY, REDIRECTS_FILE, is_certainly_ours, is_entry
from .paths import resolve_path
from .sqlite.connection import is_database
from .sqlite.database import database_name
from .sqlite.errors import Error, OperationalError, is_unwritable


def why_no_cache(address: Address) -> str | None:
    """Why there is no local cache at an address, as a sentence; None if there is one, or if it is not local"""
    if address.backend == 'sqlite':
        return _why_no_database(local_path(address))
    return _why_no_files(local_path(address)) if address.backend == 'filesystem' else None


def why_not_usable(address: Address) -> str | None:
    """Why no local cache can be created or used at an address, as a sentence; None if it can, or if it is not local"""
    if address.backend not in ('sqlite', 'filesystem'):
        return None
    path = local_path(address)
    is_new = not os.path.lexists(path)
    is_empty = _is_empty_directory(path) if address.backend == 'filesystem' else _is_empty_file(path)
    return None if is_new or is_empty else why_no_cache(address)


def local_path(address: Address) -> Path:
    """The path of a local cache; no directories are created"""
    name, options = str(address.cache_name), address.options
    if address.backend == 'sqlite':
        with_suffix = database_name(name)
        name = name if os.path.isfile(name) and not os.path.isfile(with_suffix) else with_suffix
    return resolve_path(name, bool(options.get('use_cache_dir')), bool(options.get('use_temp')))


def _is_empty_directory(path: Path) -> bool:
    try:
        return os.path.isdir(path) and not os.listdir(path)
    except OSError:
        return False


def _is_empty_file(path: Path) -> bool:
    return os.path.isfile(path) and not os.path.getsize(path)


def _why_missing(path: Path) -> str | None:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return f'There is no cache at {path}.'
    except OSError as e:
        return f'{path} cannot be read: {e.strerror}.'
    return None


def _why_no_database(path: Path) -> str | None:
    if reason := _why_missing(path):
        return reason
    if not os.path.isfile(path):
        return f'{path} is not a file.'
    try:
        is_empty = not os.path.getsize(path)
        os.close(os.open(path, os.O_RDONLY))
    except OSError as e:
        return f'{path} cannot be read: {e.strerror}.'
    if is_empty or not is_database(path):
        return f'{path} is {"empty" if is_empty else "not an SQLite database"}, so it is not a cache.'
    reason = _why_no_table(path, 'responses')
    if reason is None and not path.suffix:
        return f'{path} has no suffix, so the backend would not find it; rename it to {path.name}.sqlite.'
    return reason


def _why_no_table(path: Path, table: str) -> str | None:
    try:
        columns = _columns(path, table)
    except OperationalError:
        return None  # it may be locked, for example; using it will raise an error
    except Error as e:
        return f'{path} is damaged, or not an SQLite database: {e}.'
    if not {'key', 'value'} <= columns:
        return f'{path} is an SQLite database, but not a cache: it has no table {table!r} with keys and values.'
    return None


def _columns(path: Path, table: str) -> set[str]:
    """Names of the columns of a table; empty if the table does not exist"""
    import sqlite3

    def read(mode: str) -> set[str]:
        with closing(sqlite3.connect(f'{path.as_uri()}?{mode}', uri=True)) as connection:
            rows: list[Any] = connection.execute(f'PRAGMA table_info({table})').fetchall()
        return {row[1] for row in rows}

    try:
        return read('mode=ro')
    except OperationalError as e:
        if not is_unwritable(e):
            raise
        return read('immutable=1')  # a database in WAL mode in a read-only directory


def _why_no_files(path: Path) -> str | None:
    if reason := _why_missing(path):
        return reason
    if not os.path.isdir(path):
        return f'{path} is not a directory.'
    try:
        with os.scandir(path) as files:
            names = (file.name for file in files)
            if any(_is_cache_file(path, name) for name in names):
                return None
    except OSError as e:
        return f'{path} cannot be read: {e.strerror}.'
    return f'{path} is a directory, but not a cache: it contains no responses.'


def _is_cache_file(path: Path, name: str) -> bool:
    if name == REDIRECTS_FILE:
        return _why_no_table(path / name, 'redirects') is None
    extension = os.path.splitext(name)[1]
    return name == LARGE_DIRECTORY or bool(
        extension and is_entry(name, extension) and is_certainly_ours(name, extension)
    )
