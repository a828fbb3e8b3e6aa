"""The base class of the storages in DynamoDB"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..._utils import chunkify
from ..storage import CHUNK_SIZE, BaseStorage
from .items import ItemKeys, from_attribute
from .table import DynamoDbTable, projection

# Only single deletions report whether an item existed; this many run at the same time
DELETING_THREADS = 8
KEYS_PER_PAGE = 1000


class DynamoDbStorage(BaseStorage[str, Any]):
    """A storage whose entries are items of one kind

    Args:
        table: The table
        kind: Kind of the items
        namespace: Prefix of their keys
        serializer: As for `BaseStorage`
        kwargs: As for `BaseStorage`
    """

    iteration_tolerates_writes = True

    def __init__(self, table: DynamoDbTable, kind: str, namespace: str | None, serializer: Any = None, **kwargs: Any):
        super().__init__(serializer=serializer, **kwargs)
        self.table_name = table.name
        self.ttl = table.ttl
        self._access = table
        self._kind = kind
        self._keys = ItemKeys(namespace)

    @property
    def connection(self) -> Any:
        """The boto3 resource

        Raises:
            BackendError: boto3 cannot create one from the keywords
        """
        return self._access.resource

    @connection.setter
    def connection(self, resource: Any) -> None:
        self._access.use(resource)

    @property
    def _table(self) -> Any:
        """The boto3 object for the table"""
        return self.connection.Table(self.table_name)

    def _stored(self, key: str) -> str:
        return self._keys.stored(self._kind, key)

    def _find(self, key: str, *attributes: str) -> dict[str, Any] | None:
        """The item of an entry, with some of its attributes or all"""
        item = self._find_raw(key, *attributes)
        return None if item is None else from_attribute(item)

    def _find_raw(self, key: str, *attributes: str) -> dict[str, Any] | None:
        """As `_find`, but binary data is wrapped by boto3"""
        parameters = projection(*attributes) if attributes else {}
        reply = self._access.on_items('get_item', Key={'key': self._stored(key)}, ConsistentRead=True, **parameters)
        item: dict[str, Any] | None = reply.get('Item')
        return item

    def _value_in(self, key: str, item: dict[str, Any]) -> Any:
        """The value in an item"""
        raise NotImplementedError

    def _deleted(self, item: dict[str, Any]) -> None:
        """Called after an item was deleted"""

    def __getitem__(self, key: str) -> Any:
        item = self._find(key)
        if item is None:
            raise KeyError(key)
        return self._value_in(key, item)

    def __delitem__(self, key: str) -> None:
        if not self._delete(key):
            raise KeyError(key)

    def _delete(self, key: str) -> bool:
        reply = self._access.on_items('delete_item', Key={'key': self._stored(key)}, ReturnValues='ALL_OLD')
        item = reply.get('Attributes')
        if item:
            self._deleted(item)
        return bool(item)

    def __contains__(self, key: object) -> bool:
        return self._find(str(key), 'key') is not None

    def __iter__(self) -> Iterator[str]:
        selection = self._keys.selection(self._kind, attributes=('name',))
        for page in self._access.pages(Limit=KEYS_PER_PAGE, **selection):
            for item in page['Items']:
                yield self._keys.key_of(self._kind, from_attribute(item))

    def __len__(self) -> int:
        """The number of entries; this scans the whole table"""
        return sum(page['Count'] for page in self._access.pages(Select='COUNT', **self._keys.selection(self._kind)))

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All keys and values, read in pages of at most 1 MB; None for a value that cannot be read"""
        for page in self._access.pages(**self._keys.selection(self._kind)):
            for item in map(from_attribute, page['Items']):
                key = self._keys.key_of(self._kind, item)
                try:
                    value = self._value_in(key, item)
                except KeyError:  # deleted in the meantime
                    continue
                yield key, value

    def existing(self, keys: Iterable[str]) -> set[str]:
        """The keys that exist in this storage"""
        stored = {self._stored(key): key for key in keys}
        return {stored[item['key']] for item in self._access.batch_get(stored, 'key')}

    def bulk_delete(self, keys: Iterable[str]) -> int:
        """Delete keys, ignoring those that do not exist. Returns the number of entries that were removed."""

        from concurrent.futures import ThreadPoolExecutor

        removed = 0
        for chunk in chunkify(keys, CHUNK_SIZE):
            unique = list(dict.fromkeys(chunk))
            if len(unique) == 1:
                removed += self._delete(unique[0])
                continue
            with ThreadPoolExecutor(min(DELETING_THREADS, len(unique))) as pool:
                removed += sum(pool.map(self._delete, unique))
        return removed

    def _clear(self, *kinds: str) -> None:
        """Delete all items of some kinds"""
        pages = self._access.pages(Limit=KEYS_PER_PAGE, **self._keys.selection(*kinds, attributes=()))
        self._access.batch_delete(item['key'] for page in pages for item in page['Items'])

    def close(self) -> None:
        """Close the connections, unless they were passed in; a later use opens them again"""
        self._access.close()
