"""A template for your own backend: a cache in a text file, with one line for each response

You can commit such a file, and review changes in a pull request. The comments explain decisions that you have to make
for your backend too. The tests are in `test_backend_template.py`. Run this file to see what it writes.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from local_api import LocalApi

from requests_cache import BaseCache, BaseStorage, CachedSession
from requests_cache.exceptions import BackendUnavailableError


class JsonLinesStorage(BaseStorage[str, Any]):
    """A file with a line `["key", "entry"]` for each write, and `["key"]` for each deletion

    The last line for a key counts. All entries are kept in memory, so this suits a few thousand responses.

    Args:
        path: The file; the first write creates it
        kwargs: Keywords of `BaseStorage`, such as `serializer` and `encryption_key`
    """

    # `__iter__` iterates over a copy of the keys, so entries may be written and deleted meanwhile. So maintenance
    # deletes entries while it iterates, instead of collecting all keys first.
    iteration_tolerates_writes = True

    def __init__(self, path: str | Path, **kwargs: Any):
        # Raises an error for `max_cache_bytes` and `max_entries`, as `can_be_bounded` is False
        super().__init__(**kwargs)
        self.path = Path(path)
        self._entries: dict[str, Any] | None = None
        # The process that has written lines since the file was sorted
        self._writer: int | None = None
        # Several threads may use a session. `write_if` acquires the lock twice, so it must be reentrant.
        self._lock = RLock()

    # The five methods of a mutable mapping

    def __getitem__(self, key: str) -> Any:
        with self._lock:
            entry = self._loaded()[key]  # raises `KeyError`, and nothing else, if the key is missing
        # Not under the lock, because this takes longest. Unreadable entries become None, which is a miss.
        return self.deserialize(key, entry)

    def __setitem__(self, key: str, value: Any) -> None:
        # This comes first: if the value cannot be serialized, the old entry is kept. Pass the key: with it, encryption
        # and signatures check that an entry was not moved to another key.
        entry = self.serialize(value, key)
        with self._lock:
            self._loaded()
            self._append([key, _as_json(entry)])
            self._loaded()[key] = entry

    def __delitem__(self, key: str) -> None:
        with self._lock:
            if key not in self._loaded():
                raise KeyError(key)
            self._append([key])
            del self._loaded()[key]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            keys = list(self._loaded())
        yield from keys

    def __len__(self) -> int:
        with self._lock:
            return len(self._loaded())

    # Methods that this storage can implement better than `BaseStorage`

    def __contains__(self, key: object) -> bool:
        with self._lock:  # the method of `Mapping` would read the entry
            return key in self._loaded()

    def clear(self) -> None:
        with self._lock, self._faults():
            self.path.unlink(missing_ok=True)
            self._entries = {}

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        with self._lock:  # nobody else can write between the check and the write
            return super().write_if(key, value, is_expected)

    def close(self) -> None:
        """Rewrite the file with one line for each key, sorted, so that diffs between versions are small

        A later use loads the file again, because sessions may be used after they were closed.
        """
        with self._lock, self._faults():
            # A process that only reads does not change the file. Neither does a forked child: it has the entries from
            # the time of the fork, and must not overwrite newer ones.
            if self._writer == os.getpid() and self.path.exists():
                lines = [_line([key, _as_json(entry)]) for key, entry in sorted(self._loaded().items())]
                # The file is always complete, even if the process is killed here
                temporary = self.path.with_name(f'{self.path.name}.tmp')
                with open(temporary, 'wb', opener=_open_private) as file:
                    file.writelines(lines)
                os.replace(temporary, self.path)
            self._entries = self._writer = None

    # The file

    def _loaded(self) -> dict[str, Any]:
        # Not in the constructor, because creating a session should not fail or read from the disk
        if self._entries is None:
            entries: dict[str, Any] = {}
            with self._faults():
                data = self.path.read_bytes() if self.path.exists() else b''
            for key, entry in filter(None, map(_parsed, data.splitlines())):
                if entry is None:
                    entries.pop(key, None)
                else:
                    entries[key] = entry
            self._entries = entries
        return self._entries

    def _append(self, line: list[str]) -> None:
        with self._faults():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = os.getpid()
            # Opened for each write, so that a forked child never shares an open file with its parent
            with open(self.path, 'a+b', buffering=0, opener=_open_private) as file:
                length = file.seek(0, os.SEEK_END)
                if length:
                    file.seek(length - 1)
                # A killed process may have left an incomplete line
                is_whole = not length or file.read(1) == b'\n'
                file.write(_line(line) if is_whole else b'\n' + _line(line))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        # Requests continue without the cache after any exception. Maintenance such as `cache.clear()` raises this one,
        # so that callers need not know the exceptions of each backend.
        try:
            yield
        except OSError as e:
            raise BackendUnavailableError(f'{self.path} cannot be used: {e}') from e


def _open_private(path: str, flags: int) -> int:
    # Responses may be private, so only the user may read the file
    return os.open(path, flags, 0o600)


def _line(parts: list[Any]) -> bytes:
    # ASCII, because keys and entries may contain text that cannot be encoded in UTF-8
    return json.dumps(parts, ensure_ascii=True).encode() + b'\n'


def _as_json(entry: Any) -> Any:
    # Serializers write text or bytes; encryption and compression always write bytes
    return {'base64': b64encode(entry).decode()} if isinstance(entry, bytes) else entry


def _parsed(line: bytes) -> tuple[str, Any] | None:
    """The key and the entry of a line; the entry is None for a deletion, and the result is None for a damaged line"""
    try:
        key, *rest = json.loads(line)
        entry = rest[0] if rest else None
        entry = b64decode(entry['base64']) if isinstance(entry, dict) else entry
    except (ValueError, TypeError, KeyError):
        return None
    return (key, entry) if isinstance(key, str) else None


class JsonLinesCache(BaseCache):
    """Responses in `NAME.jsonl`, redirects in `NAME.redirects.jsonl`

    Args:
        cache_name: Path of the files, without their suffixes
        serializer: Text is easier to review than bytes, so JSON is the default
        kwargs: Keywords of `BaseStorage`; sessions also pass keywords that nobody knows
    """

    def __init__(self, cache_name: str | Path = 'http_cache', serializer: Any = None, **kwargs: Any):
        super().__init__(cache_name=str(cache_name))
        # Sessions always pass a serializer, which is None if their user did not name one
        self.responses = JsonLinesStorage(f'{cache_name}.jsonl', serializer=serializer or 'json', **kwargs)
        # Redirects map keys to keys: plain text, which needs no serializer and is not encrypted
        self.redirects = JsonLinesStorage(f'{cache_name}.redirects.jsonl')


def main() -> None:
    with LocalApi() as api, CachedSession('recorded', backend=JsonLinesCache) as session:
        for _ in range(2):
            response = session.get(f'{api.base_url}/pages/1')
            print(f'{response.status_code}, from cache: {response.from_cache}')
    print(Path('recorded.jsonl').read_text()[:70], '...')


if __name__ == '__main__':
    main()
