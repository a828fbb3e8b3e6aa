"""Leases in a DynamoDB table: an item for each"""

from __future__ import annotations

import time
from typing import Any

from ...exceptions import BackendError
from ..leases import Leases
from .client import error_code
from .items import LEASE, ItemKeys
from .table import DynamoDbTable, projection

# DynamoDB removes leases that are no longer written. The time is set by the clock of the holder, which may be off by
# some hours, and DynamoDB removes items late anyway.
TTL_SECONDS = 24 * 3600


class DynamoDbLeases(Leases):
    """The leases for the entries of a cache

    Args:
        table: The table
        keys: Keys of the cache's items
    """

    def __init__(self, table: DynamoDbTable, keys: ItemKeys):
        self._table = table
        self._keys = keys
        self._is_used = False

    def read(self, key: str) -> str | None:
        stored = self._keys.stored(LEASE, key)
        reply = self._table.on_items('get_item', Key={'key': stored}, ConsistentRead=True, **projection('lease'))
        lease = reply.get('Item', {}).get('lease')
        return None if lease is None else str(lease)

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        if new is None:
            return self.read(key) is None if old is None else self._remove(key, old)
        self._is_used = True
        item = {**self._keys.item(LEASE, key), 'value': None, 'lease': new, 'ttl': int(time.time()) + TTL_SECONDS}
        return self._change('put_item', old, Item=item)

    def _remove(self, key: str, old: str) -> bool:
        if self._is_used and not self._table.has_client:
            # The cache was closed; do not create a client again, as DynamoDB will remove the lease anyway
            return False
        return self._change('delete_item', old, Key={'key': self._keys.stored(LEASE, key)})

    def _change(self, operation: str, old: str | None, **parameters: Any) -> bool:
        """Replace or delete a lease if it has not changed; returns whether it was changed"""
        condition: dict[str, Any] = {
            'ConditionExpression': 'attribute_not_exists(#l)' if old is None else '#l = :old',
            'ExpressionAttributeNames': {'#l': 'lease'},
        }
        if old is not None:
            condition['ExpressionAttributeValues'] = {':old': old}
        try:
            self._table.on_items(operation, **parameters, **condition)
        except BackendError as e:
            if error_code(e.__cause__) != 'ConditionalCheckFailedException':
                raise
            return False
        return True

    def __reduce__(self) -> Any:
        return DynamoDbLeases, (self._table, self._keys)
