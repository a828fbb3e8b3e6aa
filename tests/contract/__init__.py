"""What every storage and every cache must do, whatever it keeps its entries in

A backend's test module derives one class from `contract.storage_contract.StorageContract`.
"""

import pytest

pytest.register_assert_rewrite(
    'contract.cache_rules', 'contract.mapping_rules', 'contract.sharing_rules', 'contract.values'
)
