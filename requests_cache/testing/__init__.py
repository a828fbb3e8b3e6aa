"""Tests and test doubles for those who write backends, or test programs that use this package

The contracts are classes of tests: derive from them, say how a storage and a cache are opened, and pytest asks of your
backend what those of this package are asked. They need the extra `testing`.
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

# So that a failed assertion shows what was compared, as in the tests of the caller
pytest.register_assert_rewrite('requests_cache.testing.rules', 'requests_cache.testing.values')

# Where they are defined; modules are imported when a name is asked for, as the rules need more libraries than the rest
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
# Libraries that some of them need, beside pytest
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
