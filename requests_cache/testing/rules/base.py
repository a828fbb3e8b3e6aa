"""How the rules open the backend under test, and what they know about it"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..values import closing_all

# Capabilities that a backend may lack, and what each of them means
CAPABILITIES = {
    'any key': 'keys may be any text, because `key_fn` may return any; without it, only letters, digits and spaces',
    'bounds': 'storages take `max_cache_bytes` and `max_entries`',
    'deletion of expired entries': 'storages take `delete_expired_after`',
    'forking': 'a storage works in a child process made by `os.fork()`, and still works in the parent',
    'keyed serializers': 'storages pass the key of an entry to `serialize`, which signatures and encryption need',
    'large bodies': 'bodies longer than `large_body_bytes` are kept in pieces, apart from their entries',
    'persistence': 'entries are still there after the storage that wrote them was closed',
    'readable entries': 'the text of a response can be found in the stored data',
    'serializers': "storages accept the caller's own serializers, which turn entries into bytes",
    'shared leases': "two caches in the same place see each other's leases",
    'sharing': "two storages in the same place see each other's entries",
    'threads': 'several threads may use one storage at the same time',
    'writing while iterating': 'keys may be added and removed while the storage is iterated over',
}


def with_pieces(storage: Any, piece_bytes: int = 500) -> Any:
    assert storage.pieces is not None, 'it does not keep large bodies in pieces; add "large bodies" to `lacks`'
    if storage._usable_pieces is None:
        pytest.skip('the serializer writes whole responses, so bodies of any size are parts of their entries')
    storage.pieces.piece_bytes = piece_bytes
    return storage


class Contract:
    """Base of all rules

    A test class derives from the rules it wants, and defines how to open storages and caches:

        class TestMyBackend(StorageContract, CacheContract):
            lacks = {'forking': "the driver's connections do not survive it"}

            def open_storage(self, place, kind='responses', **kwargs):
                return MyStorage(place / 'store', kind, **kwargs)

            def open_cache(self, place, **kwargs):
                return MyCache(place / 'store', **kwargs)

    Each test starts with an empty place. Everything that it opened is closed at its end.
    """

    # What the backend cannot do: names from `CAPABILITIES`, each with a reason, which skipped tests show
    lacks: Mapping[str, str] = {}
    # Values to pass as `serializer`, one after another; None is the backend's default
    serializers: tuple[Any, ...] = (None,)
    # Values that are not entries, which tests put into the store in place of one (with `plant`)
    damaged: tuple[Any, ...] = (b'', b'not an entry', b'\x80\x05', 'text', '{"truncated": ')
    # A number of entries that fills more than two batches, if the storage reads or writes in batches
    many = 2500
    # Number of examples for each property test
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
            place: Where its entries are. Two storages in the same place hold the same entries, if the backend can.
            kind: 'responses' or 'redirects': the attribute of the backend's cache that has such a storage
            kwargs: Keywords for its constructor, such as `serializer`
        """
        raise NotImplementedError('Define open_storage(self, place, kind, **kwargs), which returns a storage')

    def open_cache(self, place: Any, **kwargs: Any) -> Any:
        """Open a cache

        Args:
            place: Where its entries are
            kwargs: Keywords for its constructor. The rules use those of `BaseStorage`, `serializer`, and settings,
                which every cache ignores.
        """
        raise NotImplementedError('Define open_cache(self, place, **kwargs), which returns a cache')

    @pytest.fixture
    def place(self, tmp_path: Path) -> Any:
        """An empty place for the entries of one test, in a form that `open_storage` and `open_cache` understand

        Override it for a server, and delete the entries there after the test.
        """
        return tmp_path

    @pytest.fixture
    def broken_storage(self) -> Any:
        """A storage whose store cannot be reached, opened or used; override this to test errors"""
        pytest.skip('no fixture `broken_storage` is defined, which returns a storage whose store does not work')

    # What the rules call

    @pytest.fixture
    def storage_factory(self, place: Any) -> Iterator[Callable[..., Any]]:
        """Opens storages in the place of the test; takes the arguments of `open_storage` after `place`"""
        with closing_all(partial(self.open_storage, place)) as factory:
            yield factory

    @pytest.fixture
    def cache_factory(self, place: Any) -> Iterator[Callable[..., Any]]:
        """Opens caches in the place of the test"""
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
        """Opens another storage in the place of the test"""
        self.needs('sharing')
        return storage_factory

    def has(self, *capabilities: str) -> bool:
        """Whether the backend has all of these capabilities"""
        assert set(capabilities) <= set(CAPABILITIES)
        return not set(capabilities) & set(self.lacks)

    def needs(self, *capabilities: str) -> None:
        """Skip the test if the backend lacks one of these capabilities"""
        assert set(capabilities) <= set(CAPABILITIES)
        for name in capabilities:
            if name in self.lacks:
                pytest.skip(f'lacks {name}: {self.lacks[name]}')

    def raw(self, storage: Any, key: str) -> Any:
        """The stored form of an entry; override this if a storage without a serializer does not return that"""
        serializer, storage.serializer = storage.serializer, None
        try:
            return storage[key]
        finally:
            storage.serializer = serializer

    def plant(self, storage: Any, key: str, value: Any) -> None:
        """Replace the stored form of an entry, usually by a damaged one; override this together with `raw`"""
        serializer, storage.serializer = storage.serializer, None
        try:
            storage[key] = value
        finally:
            storage.serializer = serializer

    def in_pieces(self, storage: Any, piece_bytes: int = 500) -> Any:
        """Make a storage keep large bodies in small pieces, so that there are many; returns the storage"""
        self.needs('large bodies')
        return with_pieces(storage, piece_bytes)

    def fill(self, storage: Any, entries: dict[str, Any]) -> None:
        """Write many entries; override this if writing them one by one takes too long"""
        storage.update(entries)

    def settle(self, storage: Any) -> None:
        """Make a bounded storage account for all entries written without bounds, if it does so gradually"""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if 'serializer' in metafunc.fixturenames:
            metafunc.parametrize('serializer', self.serializers)
        if 'damage' in metafunc.fixturenames:
            metafunc.parametrize('damage', self.damaged, ids=repr)
