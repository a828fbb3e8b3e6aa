"""What the options of the SQLite backend mean"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from logging import getLogger
from math import isnan
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from ..paths import StrOrPath, get_cache_path
from .access import Database
from .table import Table

# Content of such a database is lost when the last connection to it is closed
MEMORY_URI = 'file::memory:?cache=shared'
DEFAULT_SECONDS = 5.0
MAX_SECONDS = 2_000_000.0
CACHE_KIB = 8 * 1024
CONNECT_KEYWORDS = frozenset(
    {'cached_statements', 'check_same_thread', 'detect_types', 'factory', 'isolation_level', 'timeout', 'uri'}
)
logger = getLogger(__name__)


def database_path(db_path: StrOrPath, options: Mapping[str, Any]) -> Path | str:
    """The path of a file, or a name that SQLite takes as it is

    Args:
        db_path: Path, `:memory:`, or (with `mode=memory`, or with the option `uri`) an SQLite URI
        options: `use_memory`, `use_cache_dir`, `use_temp`, `uri`
    """
    name = str(db_path)
    if options.get('use_memory'):
        return MEMORY_URI
    if _is_memory(name) or (options.get('uri') and name.startswith('file:')):
        return name
    path = Path(name if Path(name).suffix else f'{name}.sqlite')
    return get_cache_path(path, bool(options.get('use_cache_dir')), bool(options.get('use_temp')))


def _is_memory(name: str) -> bool:
    return ':memory:' in name or 'mode=memory' in name


def timeout_seconds(busy_timeout: float | None, timeout: float | None) -> float:
    """How long to wait for a lock

    Args:
        busy_timeout: Seconds if it is a float, milliseconds if it is an integer
        timeout: Seconds, if `busy_timeout` is None; None for the driver's default

    Raises:
        ValueError: It is not a number
    """
    if busy_timeout is None:
        seconds = DEFAULT_SECONDS if timeout is None else float(timeout)
    else:
        seconds = busy_timeout / 1000 if isinstance(busy_timeout, int) else float(busy_timeout)
    if isnan(seconds):
        raise ValueError('busy_timeout must be a number of seconds (float) or milliseconds (int)')
    return min(max(seconds, 0.0), MAX_SECONDS)


def make_database(
    path: Path | str, connect: Callable[..., Any], tables: tuple[Table, ...], options: Mapping[str, Any]
) -> Database:
    """A database that is opened, if that can be done at once

    Args:
        path: What `database_path` gives
        connect: Called with the path and keywords of `sqlite3.connect`
        tables: Tables that it must have
        options: `busy_timeout`, `fast_save`, `wal`, `use_memory`, `use_temp`, `use_cache_dir`, and keywords of
            `sqlite3.connect`
    """
    given = {k: v for k, v in options.items() if k in CONNECT_KEYWORDS and (v is not None or k == 'isolation_level')}
    keywords = {'isolation_level': None, 'check_same_thread': False, **given}
    if isinstance(path, str) and path.startswith('file:'):
        keywords['uri'] = True
    if options.get('autocommit') is not None:
        logger.warning('autocommit has no effect: the storage begins and ends transactions by itself')
    in_temp = isinstance(path, Path) and options.get('use_temp') and not options.get('use_cache_dir')
    database = Database(
        # One of its own for each cache, whatever its name
        ':memory:' if options.get('use_memory') else path,
        partial(connect, **keywords),
        timeout_seconds(options.get('busy_timeout'), options.get('timeout')),
        _pragmas(bool(options.get('wal')), bool(options.get('fast_save'))),
        tables,
        in_memory=isinstance(path, str) and _is_memory(path),
        temp_root=_temp_root(path) if in_temp else None,
    )
    database.try_to_open()
    return database


def _pragmas(wal: bool, fast_save: bool) -> tuple[str, ...]:
    # More than SQLite's own 2 MB, so that a large body is not read from the file, page by page, for each hit
    pragmas = [f'cache_size = -{CACHE_KIB}']
    if wal:
        pragmas.append('journal_mode = WAL')
    if fast_save:
        pragmas.append('synchronous = OFF')
    elif wal:
        pragmas.append('synchronous = NORMAL')
    return tuple(pragmas)


def _temp_root(path: Path | str) -> Path | None:
    root = Path(gettempdir()).absolute()
    return root if root in Path(path).parents else None
