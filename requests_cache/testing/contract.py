"""The contracts of storages and caches, composed of rules

    from requests_cache.testing import CacheContract, StorageContract

    class TestMyBackend(StorageContract, CacheContract):
        def open_storage(self, place, kind='responses', **kwargs):
            return MyStorage(place / 'store', kind, **kwargs)

        def open_cache(self, place, **kwargs):
            return MyCache(place / 'store', **kwargs)

`Contract` describes what else a test class can define.
"""

from __future__ import annotations

from .rules.bodies import LargeBodyRules
from .rules.bounds import BoundRules
from .rules.caches import CacheRules
from .rules.leases import LeaseRules
from .rules.mapping import MappingRules
from .rules.redirects import RedirectRules
from .rules.replacing import ReplacingRules
from .rules.sealing import SealingRules
from .rules.serializing import SerializingRules
from .rules.sharing import SharingRules
from .rules.variants import VariantRules

__all__ = ['BackendContract', 'CacheContract', 'StorageContract']


class StorageContract(MappingRules, SerializingRules):
    """What every storage must do: be a mutable mapping, and pass values through its serializer"""


class CacheContract(CacheRules, RedirectRules, VariantRules):
    """What every cache must do with its two storages"""


class BackendContract(
    StorageContract,
    SharingRules,
    CacheContract,
    LargeBodyRules,
    ReplacingRules,
    LeaseRules,
    SealingRules,
    BoundRules,
):
    """Everything that the backends of this package do, except for `StandardRules`"""
