"""What the rules know of the backend that they are asked of"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..values import closing_all

# What a backend may lack, and what it means to have it
CAPABILITIES = {
    'any key': 'keys may be any text, and not only letters, digits and spaces, as keys of `key_fn` may be',
    'bounds': 'storages take `max_cache_bytes` and `max_entries`',
    'deletion of expired entries': 'storages take `delete_expired_after`',
    'forking': 'a storage goes on working in a child made by `os.fork()`, and in its parent',
    'keyed serializers': 'storages pass the key of an entry to `serialize`, as signatures and encryption need it',
    'large bodies': 'bodies beyond `large_body_bytes` are kept in pieces beside their entries',
    'persistence': 'entries outlive the storages that wrote them',
    'readable entries': 'text of a response can be found in what is stored',
    'serializers': "storages take serializers of the caller's own, which turn entries into bytes",
    'shared leases': "two caches on one place see each other's leases",
    'sharing': "two storages on one place see each other's entries",
    'threads': 'several threads may use one storage at the same moment',
    'writing while iterating': 'keys may be added and removed while the storage is iterated over',
}


def with_pieces(storage: Any, piece_bytes: int = 500) -> Any:
    assert storage.pieces is not None, 'it keeps no large bodies in pieces, and does not say that it lacks that'
    if storage._usable_pieces is None:
        pytest.skip('the serializer writes whole responses, so bodies of any size are parts of their entries')
    storage.pieces.piece_bytes = piece_bytes
    return storage


class Contract:
    """Base of all rules

    A class of tests derives from the rules it wants, and says how storages and caches are opened:

        class TestMyBackend(StorageContract, CacheContract):
            lacks = {'forking': "the driver's connections do not survive it"}

            def open_storage(self, place, kind='responses', **kwargs):
                return MyStorage(place / 'store', kind, **kwargs)

            def open_cache(self, place, **kwargs):
                return MyCache(place / 'store', **kwargs)

    Each test starts with an empty place. All that was opened is closed at the end of the test.
    """

    # What cannot be asked of the backend: names from `CAPABILITIES`, each with the reason, which skipped tests show
    lacks: Mapping[str, str] = {}
    # What to pass as `serializer`, each in turn; None stands for the backend's default
    serializers: tuple[Any, ...] = (None,)
    # Values that a store may hold in place of an entry, and that are none: what `plant` is called with
    damaged: tuple[Any, ...] = (b'', b'not an entry', b'\x80\x05', 'text', '{"truncated": ')
    # A number of entries that is larger than two batches of the storage, if it reads or writes in batches
    many = 2500
    # Rounds of each property test
    examples = 25

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        unknown = sorted(set(cls.lacks) - set(CAPABILITIES))
        if unknown:
            raise TypeError(f'{cls.__name__}.lacks: {", ".join(unknown)} is not one of: {", ".join(CAPABILITIES)}')
        without_reason = sorted(name for name, reason in cls.lacks.items() if not reason)
        if without_reason:
            raise TypeError(f'{cls.__name__}.lacks: give a reason for {", ".join(without_reason)}')

    # How things are opened

    def open_storage(self, place: Any, kind: str = 'responses', **kwargs: Any) -> Any:
        """Open a storage

        Args:
            place: Where its entries are. Two storages on one place hold the same entries, if the backend can do that.
            kind: 'responses' or 'redirects': a storage as the backend's cache has it under this name
            kwargs: Keywords for its constructor, such as `serializer`
        """
        raise NotImplementedError('Define open_storage(self, place, kind, **kwargs), which returns a storage')

    def open_cache(self, place: Any, **kwargs: Any) -> Any:
        """Open a cache

        Args:
            place: Where its entries are
            kwargs: Keywords for its constructor; the rules use those of `BaseStorage`, `serializer`, and those of
                settings, which every cache passes over
        """
        raise NotImplementedError('Define open_cache(self, place, **kwargs), which returns a cache')

    @pytest.fixture
    def place(self, tmp_path: Path) -> Any:
        """An empty place for the entries of one test; override it for a server, and clean up there

        Anything that `open_storage` and `open_cache` understand.
        """
        return tmp_path

    @pytest.fixture
    def broken_storage(self) -> Any:
        """A storage whose store cannot be reached, opened or used; override it"""
        pytest.skip('there is no fixture `broken_storage` that gives a storage whose store is out of order')

    # What the rules call

    @pytest.fixture
    def storage_factory(self, place: Any) -> Iterator[Callable[..., Any]]:
        """Opens storages on the place of the test, by the arguments of `open_storage` after the first"""
        with closing_all(partial(self.open_storage, place)) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self, place: Any) -> Iterator[Callable[..., Any]]:
        """Opens caches on the place of the test"""
        with closing_all(partial(self.open_cache, place)) as factory:
            yield factory

    @pytest.fixture
    def storage(self, storage_factory: Callable[..., Any]) -> Any:
        return storage_factory()

    @pytest.fixture
    def redirects(self, storage_factory: Callable[..., Any]) -> Any:
        return storage_factory('redirects')

    @pytest.fixture
    def cache(self, cache_factory: Callable[..., Any]) -> Any:
        return cache_factory()

    @pytest.fixture
    def another(self, storage_factory: Callable[..., Any]) -> Callable[..., Any]:
        """Opens the store of the test once more"""
        self.needs('sharing')
        return storage_factory

    def has(self, *capabilities: str) -> bool:
        """Whether the backend lacks none of these"""
        assert set(capabilities) <= set(CAPABILITIES)
        return not set(capabilities) & set(self.lacks)

    def needs(self, *capabilities: str) -> None:
        """Skip the test if the backend lacks one of these"""
        assert set(capabilities) <= set(CAPABILITIES)
        for name in capabilities:
            if name in self.lacks:
                pytest.skip(f'lacks {name}: {self.lacks[name]}')

    def raw(self, storage: Any, key: str) -> Any:
        """What the store has in place of an entry; override it if a storage without serializer does not give that"""
        serializer, storage.serializer = storage.serializer, None
        try:
            return storage[key]
        finally:
            storage.serializer = serializer

    def plant(self, storage: Any, key: str, value: Any) -> None:
        """Write a value that is none of `damaged`, or changed, in place of an entry; override it with `raw`"""
        serializer, storage.serializer = storage.serializer, None
        try:
            storage[key] = value
        finally:
            storage.serializer = serializer

    def in_pieces(self, storage: Any, piece_bytes: int = 500) -> Any:
        """Have a storage keep large bodies in many small pieces, where there would be a few large ones; returns it"""
        self.needs('large bodies')
        return with_pieces(storage, piece_bytes)

    def fill(self, storage: Any, entries: dict[str, Any]) -> None:
        """Write many entries; override it where one by one takes too long"""
        storage.update(entries)

    def settle(self, storage: Any) -> None:
        """Have a bounded storage do what it does by and by about entries that were written without bounds"""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if 'serializer' in metafunc.fixturenames:
            metafunc.parametrize('serializer', self.serializers)
        if 'damage' in metafunc.fixturenames:
            metafunc.parametrize('damage', self.damaged, ids=repr)
