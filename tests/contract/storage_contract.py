"""The contract of all storages

    from contract.storage_contract import StorageContract

    class TestMyBackend(StorageContract):
        many = 300

        @pytest.fixture
        def storage_factory(self, tmp_path):
            def make(kind='responses', **kwargs):
                return MyDict(tmp_path / 'store', kind, **kwargs)

            with closing_all(make) as factory:
                yield factory

        @pytest.fixture
        def cache_factory(self, tmp_path):
            with closing_all(lambda **kwargs: MyCache(tmp_path / 'store', **kwargs)) as factory:
                yield factory

`storage_factory(kind='responses', **kwargs)` makes a storage as the backend's cache has it under the name `kind`, with
`kwargs` for its constructor; `cache_factory(**kwargs)` makes a cache. Each call opens the *same* store once more, and
each test starts with an empty store. Both close what they made at the end of the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.body_rules import BodyRules
from contract.bound_rules import BoundRules
from contract.cache_rules import CacheRules
from contract.lease_rules import LeaseRules
from contract.mapping_rules import MappingRules
from contract.redirect_rules import RedirectRules
from contract.sealing_rules import SealingRules
from contract.sharing_rules import SharingRules
from contract.variant_rules import VariantRules

__all__ = ['StorageContract']


class StorageContract(
    MappingRules,
    SharingRules,
    CacheRules,
    RedirectRules,
    VariantRules,
    BodyRules,
    LeaseRules,
    SealingRules,
    BoundRules,
):
    """Derive from this class; the attributes below tell what cannot be asked of a backend"""

    # Two storages made by the factory see each other's entries
    shared = True
    # Entries outlive the storages that wrote them
    persistent = True
    # A storage works on in a child made by `os.fork()`, and in its parent
    forkable = True
    # What to pass as `serializer`, each in turn; None stands for the backend's default
    serializers: tuple[Any, ...] = (None,)
    # Serializers of one's own may turn values into bytes
    takes_serializers = True
    # Raw values that are no entries: what `plant` can write in place of one
    damaged: tuple[Any, ...] = (b'', b'not an entry', b'\x80\x05', 'text', '{"truncated": ')
    # More entries than two batches of a storage hold, and fewer than take long
    many = 2500
    # Rounds of each property test
    examples = 25

    @pytest.fixture
    def storage_factory(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def cache_factory(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def broken_storage(self) -> Any:
        """A storage whose store cannot be reached, opened or used; override it"""
        pytest.skip('nothing can be broken here')

    @pytest.fixture
    def storage(self, storage_factory: Callable[..., Any]) -> Any:
        return storage_factory()

    @pytest.fixture
    def redirects(self, storage_factory: Callable[..., Any]) -> Any:
        return storage_factory('redirects')

    @pytest.fixture
    def cache(self, cache_factory: Callable[..., Any]) -> Any:
        return cache_factory()

    def raw(self, storage: Any, key: str) -> Any:
        """What the store has in place of an entry"""
        serializer, storage.serializer = storage.serializer, None
        try:
            return storage[key]
        finally:
            storage.serializer = serializer

    def plant(self, storage: Any, key: str, value: Any) -> None:
        """Write a raw value in place of an entry"""
        serializer, storage.serializer = storage.serializer, None
        try:
            storage[key] = value
        finally:
            storage.serializer = serializer

    def fill(self, storage: Any, entries: dict[str, Any]) -> None:
        """Write many entries; override it where one by one takes too long"""
        storage.update(entries)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if 'serializer' in metafunc.fixturenames:
            metafunc.parametrize('serializer', self.serializers)
        if 'damage' in metafunc.fixturenames:
            metafunc.parametrize('damage', self.damaged, ids=repr)
