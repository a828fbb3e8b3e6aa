"""Tests for backends of your own, and test doubles for programs that use this package

The contracts are test classes. Derive from them and define how to open a storage and a cache, and pytest runs the same
tests on your backend that every backend of this package passes. This module needs the extra `testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..exceptions import MissingDependencyError

try:
    import pytest
except ModuleNotFoundError as e:
    raise MissingDependencyError('requests_cache.testing', 'pytest', 'testing') from e

if TYPE_CHECKING:
    from .clock import ManualClock
    from .contract import BackendContract, CacheContract, StorageContract
    from .executor import ManualExecutor
    from .faults import FaultyStorage
    from .origin import Origin
    from .rules.bodies import LargeBodyRules
    from .rules.bounds import BoundRules
    from .rules.leases import LeaseRules
    from .rules.replacing import ReplacingRules
    from .rules.sealing import SealingRules
    from .rules.sharing import SharingRules
    from .rules.standard import StandardRules

__all__ = [
    'BackendContract',
    'BoundRules',
    'CacheContract',
    'FaultyStorage',
    'LargeBodyRules',
    'LeaseRules',
    'ManualClock',
    'ManualExecutor',
    'Origin',
    'ReplacingRules',
    'SealingRules',
    'SharingRules',
    'StandardRules',
    'StorageContract',
]

# Makes failed assertions show the compared values, as in the user's own tests
pytest.register_assert_rewrite('requests_cache.testing.rules', 'requests_cache.testing.values')

# The modules that define them; imported on first use, because the rules need more libraries than the test doubles
_MODULES = {
    'BackendContract': 'contract',
    'BoundRules': 'rules.bounds',
    'CacheContract': 'contract',
    'FaultyStorage': 'faults',
    'LargeBodyRules': 'rules.bodies',
    'LeaseRules': 'rules.leases',
    'ManualClock': 'clock',
    'ManualExecutor': 'executor',
    'Origin': 'origin',
    'ReplacingRules': 'rules.replacing',
    'SealingRules': 'rules.sealing',
    'SharingRules': 'rules.sharing',
    'StandardRules': 'rules.standard',
    'StorageContract': 'contract',
}
# Libraries that some of them need, besides pytest
_LIBRARIES = ('hypothesis', 'time_machine')


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        module = import_module(f'{__name__}.{_MODULES[name]}')
    except ModuleNotFoundError as e:
        if e.name not in _LIBRARIES:
            raise
        raise MissingDependencyError(f'{__name__}.{name}', str(e.name), 'testing') from e
    return getattr(module, name)
