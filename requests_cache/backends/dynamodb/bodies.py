"""Large bodies in separate items, one for each piece; the item of the entry contains their number"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from ..._utils import chunkify, is_decimal
from ...exceptions import BackendError
from ...models.body import Body
from ..bodies import ABANDONED_AFTER_SECONDS, Pieces
from .client import error_code
from .items import ENTRY, PART, ItemKeys, as_text, from_attribute, to_text_attribute
from .table import GET_BATCH, DynamoDbTable, projection

# The rest of an item is for its key, the key of the entry, and what stages add to a piece
PIECE_BYTES = 350 * 1024
# Pieces expire this much later than their entry, as DynamoDB removes items in any order
TTL_GRACE_SECONDS = 24 * 3600


class DynamoDbPieces(Pieces):
    """The large bodies of a cache

    Args:
        table: The table
        keys: Keys of the cache's items
        removes_leftovers: Have DynamoDB remove bodies whose entries were not written
    """

    piece_bytes = PIECE_BYTES

    def __init__(self, table: DynamoDbTable, keys: ItemKeys, removes_leftovers: bool = False):
        self._table = table
        self._keys = keys
        self._removes_leftovers = removes_leftovers
        # Number of pieces of each body that is being written
        self._written: dict[str, int] = {}

    def _stored(self, body_id: str, start: int, stop: int) -> list[str]:
        return [self._keys.stored(PART, f'{body_id}:{index}') for index in range(start, stop)]

    def write(self, key: str, body_id: str, index: int, piece: bytes) -> None:
        stored = self._stored(body_id, index, index + 1)[0]
        self._written[body_id] = index + 1
        item: dict[str, Any] = {'key': stored, 'value': None, 'owner': to_text_attribute(key), 'data': piece}
        if self._removes_leftovers:
            item['ttl'] = int(time.time()) + ABANDONED_AFTER_SECONDS
        self._table.on_items('put_item', Item=item)

    def read(self, key: str, body_id: str, index: int) -> bytes | None:
        (stored,) = self._stored(body_id, index, index + 1)
        reply = self._table.on_items('get_item', Key={'key': stored}, ConsistentRead=True, **projection('data'))
        data = from_attribute(reply.get('Item', {})).get('data')
        return data if isinstance(data, bytes) else None

    def delete(self, key: str, body_id: str) -> None:
        number = self._written.pop(body_id, None)
        if number is not None:
            self._table.batch_delete(self._stored(body_id, 0, number))
            return
        for start in count(0, GET_BATCH):
            stored = self._stored(body_id, start, start + GET_BATCH)
            found = [item['key'] for item in self._table.batch_get(stored, 'key')]
            if not found:
                return
            self._table.batch_delete(found)

    # For entries

    def claim(self, body: Body, expires: int | None) -> dict[str, Any]:
        """Mark a body as belonging to an entry that is about to be written

        Args:
            body: The body
            expires: When the entry expires, in seconds since 1970; None for never

        Returns:
            The reference to the pieces for the item of the entry

        Raises:
            BackendError: Some pieces no longer exist
        """
        number = body.piece_count
        found = list(self._table.batch_get(self._stored(body.id, 0, number), 'key', 'ttl'))
        ttl = None if expires is None else expires + TTL_GRACE_SECONDS
        is_there = len(found) == number and all(self._keep(item, ttl) for item in found)
        if not is_there:
            raise BackendError('The body of the entry was deleted before the entry was written')
        self._written.pop(body.id, None)
        return {'id': body.id, 'count': number}

    def _keep(self, item: dict[str, Any], ttl: int | None) -> bool:
        """Change the expiration of a piece; returns whether the piece still exists"""
        if item.get('ttl') == ttl:
            return True
        try:
            self._table.on_items(
                'update_item',
                Key={'key': item['key']},
                UpdateExpression='REMOVE #t' if ttl is None else 'SET #t = :t',
                ConditionExpression='attribute_exists(#k)',
                ExpressionAttributeNames={'#k': 'key', '#t': 'ttl'},
                **({} if ttl is None else {'ExpressionAttributeValues': {':t': ttl}}),
            )
        except BackendError as e:
            code = error_code(e.__cause__)
            if code == 'ConditionalCheckFailedException':
                return False
            # A user of 1.3.x may lack the permission; pieces without an expiration are removed by cleaning the cache
            if code != 'AccessDeniedException' or 'ttl' in item:
                raise
        return True

    def release(self, item: dict[str, Any]) -> None:
        """Delete the body of an entry that was deleted or replaced, if it had one"""
        body_id = body_of(item)
        if body_id is not None:
            number = item['body'].get('count')
            self._table.batch_delete(self._stored(body_id, 0, int(number) if is_decimal(number) else 0))

    def unused(self) -> Iterator[tuple[str, str]]:
        owners: dict[str, str] = {}
        for page in self._table.pages(**self._keys.selection(PART, attributes=('owner', 'name'))):
            for item in map(from_attribute, page['Items']):
                body_id, _, _ = self._keys.key_of(PART, item).rpartition(':')
                if isinstance(item.get('owner'), (str, bytes)):
                    owners[body_id] = as_text(item['owner'])
        for chunk in chunkify(owners, GET_BATCH):
            entries = {self._keys.stored(ENTRY, owners[body_id]) for body_id in chunk}
            used = {body_of(item) for item in self._table.batch_get(entries, 'body')}
            yield from ((owners[body_id], body_id) for body_id in chunk if body_id not in used)


def body_of(item: dict[str, Any]) -> str | None:
    """The id of the body of an entry; None if it has no separate body"""
    body = item.get('body')
    body_id = body.get('id') if isinstance(body, dict) else None
    return body_id if isinstance(body_id, str) else None
