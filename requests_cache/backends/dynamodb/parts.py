"""Entries that take more than one item of DynamoDB

The parts are written first, under keys that no other write uses, and then, in one write, the item that refers to them.
So a reader finds the old entry or the new one. What the old one consisted of is deleted last.
"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from os import urandom
from time import time
from typing import Any
from zlib import crc32

from ..._utils import chunkify
from ...exceptions import BackendError
from ...keys.shown import shown_text
from .items import MAX_ITEM_BYTES, PART, ItemKeys, from_attribute
from .table import GET_BATCH, DynamoDbTable

logger = getLogger(__name__)

# What remains of an item is for its key and the attributes beside the data
PART_BYTES = MAX_ITEM_BYTES - 8_192
# After that time, parts that no entry refers to are not those of one that is being written
SWEEP_AFTER_SECONDS = 3600


class IncompleteError(Exception):
    """Parts of an entry are missing, or not those that were written"""


class PartStore:
    """The parts of large entries

    Args:
        table: The table
        keys: Keys of the cache's items
    """

    def __init__(self, table: DynamoDbTable, keys: ItemKeys):
        self._table = table
        self._keys = keys

    def _part_keys(self, description: Any) -> list[str]:
        if not isinstance(description, dict) or not isinstance(description.get('id'), str):
            return []
        return [self._keys.stored(PART, f'{description["id"]}:{i}') for i in range(int(description.get('count', 0)))]

    def write(self, owner: str, data: bytes, attributes: dict[str, Any]) -> dict[str, Any]:
        """Write data in parts

        Args:
            owner: Key of the item that will refer to them
            data: The data
            attributes: More attributes for each part

        Returns:
            What the item needs to hold to find them again
        """
        chunks = [data[i : i + PART_BYTES] for i in range(0, len(data), PART_BYTES)]
        description = {'id': urandom(16).hex(), 'count': len(chunks), 'crc': crc32(data)}
        shared = {'value': None, 'owner': owner, 'written': int(time()), **attributes}
        items = ({'key': k, 'data': c, **shared} for k, c in zip(self._part_keys(description), chunks, strict=True))
        try:
            self._table.batch_write({'PutRequest': {'Item': item}} for item in items)
        except BackendError:
            self.discard(description)
            raise
        return description

    def read(self, description: dict[str, Any]) -> bytes:
        """The data that was written

        Raises:
            IncompleteError: Some of it is missing; another writer has replaced it, or one was interrupted
        """
        keys = self._part_keys(description)
        items = map(from_attribute, self._table.batch_get(keys, 'key', 'data'))
        found = {item['key']: item.get('data') for item in items}
        if not all(isinstance(found.get(key), bytes) for key in keys):
            raise IncompleteError
        data = b''.join(found[key] for key in keys)
        if crc32(data) != description.get('crc'):
            raise IncompleteError
        return data

    def delete(self, description: Any) -> None:
        """Delete the parts that an item refers to, if it does"""
        self._table.batch_delete(self._part_keys(description))

    def discard(self, description: Any) -> None:
        """Delete parts that no item refers to; it is no harm if that fails"""
        try:
            self.delete(description)
        except BackendError as e:
            logger.warning('Parts of an entry that could not be written are left behind: %s', shown_text(e))

    def sweep(self) -> None:
        """Delete parts that were left behind by writers that did not come to an end"""
        for parts in chunkify(self._old_parts(), GET_BATCH):
            in_use = set()
            for item in self._table.batch_get((part['owner'] for part in parts), 'large'):
                in_use.update(self._part_keys(item.get('large')))
            self._table.batch_delete(part['key'] for part in parts if part['key'] not in in_use)

    def _old_parts(self) -> Iterator[dict[str, Any]]:
        written_before = time() - SWEEP_AFTER_SECONDS
        for page in self._table.pages(**self._keys.selection(PART, attributes=('owner', 'written'))):
            yield from (p for p in page['Items'] if p.get('owner') and p.get('written', 0) < written_before)
