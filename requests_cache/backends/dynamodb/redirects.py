"""Redirects in a DynamoDB table

Finding the redirects to an entry would require a scan of the whole table, including responses. So for each entry with
redirects, there is an additional item that lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..._utils import chunkify
from ...exceptions import BackendError
from ...policy.expiration import add_tzinfo
from .client import error_code
from .items import REDIRECT, SOURCES, as_text, from_attribute, to_text_attribute
from .storage import DynamoDbStorage
from .table import GET_BATCH, DynamoDbTable

# Maximum number of redirects in the list of an entry; each one makes adding another one more expensive
MAX_SOURCES = 200


class DynamoDbRedirects(DynamoDbStorage):
    """The redirects of a cache: from the key of a request to the key of its final response

    Args:
        table: The table
        namespace: Prefix of the keys
        kwargs: Ignored
    """

    def __init__(self, table: DynamoDbTable, namespace: str | None = None, **kwargs: Any):
        super().__init__(table, REDIRECT, namespace)

    def _value_in(self, key: str, item: dict[str, Any]) -> str | None:
        target = item.get('target')
        return as_text(target) if isinstance(target, (str, bytes)) else None

    def __setitem__(self, key: str, target: str) -> None:
        self.write(key, target)

    def write(self, key: str, target: str, expires_at: datetime | None = None) -> None:
        """Write a redirect; DynamoDB removes it together with its target, which expires at `expires_at`"""
        expires = round(add_tzinfo(expires_at).timestamp()) if expires_at is not None and self.ttl else None
        item = {**self._keys.item(REDIRECT, key), 'value': None, 'target': to_text_attribute(str(target))}
        if expires is not None:
            item['ttl'] = expires
        # First, so that every redirect is in the list
        self._add_source(target, item['key'], expires)
        self._access.on_items('put_item', Item=item)

    def _add_source(self, target: str, source: str, expires: int | None) -> None:
        values: dict[str, Any] = {':s': {source}, ':v': None, ':max': MAX_SOURCES}
        if expires is not None:
            values[':t'] = expires
        self._update(
            Key={'key': self._keys.stored(SOURCES, target)},
            UpdateExpression=f'ADD #s :s SET #v = :v{" REMOVE #t" if expires is None else ", #t = :t"}',
            ConditionExpression='attribute_not_exists(#s) OR size(#s) < :max',
            ExpressionAttributeNames={'#s': 'sources', '#v': 'value', '#t': 'ttl'},
            ExpressionAttributeValues=values,
        )

    def _update(self, **parameters: Any) -> None:
        """Update an item if a condition is met, and if the user has the permission, which 1.3.x does not need"""
        try:
            self._access.on_items('update_item', **parameters)
        except BackendError as e:
            if error_code(e.__cause__) not in ('ConditionalCheckFailedException', 'AccessDeniedException'):
                raise

    def outlast(self, target: str, expires: int | None) -> None:
        """Keep the redirects to an entry at least as long as the entry, which has just been written

        Args:
            target: Key of the entry
            expires: When the entry expires, in seconds since 1970; None for never
        """
        tracked = self._keys.stored(SOURCES, target)
        for item in self._access.batch_get([tracked], 'sources', 'ttl'):
            if 'ttl' not in item or (expires is not None and expires <= item['ttl']):
                continue
            for source in item.get('sources') or ():
                self._keep(source, expires, 'target', to_text_attribute(target))
            # Last, so that after an interruption, the next call repeats the updates
            self._keep(tracked, expires, 'sources', item.get('sources'))

    def _keep(self, key: str, expires: int | None, name: str, value: Any) -> None:
        """Change the expiration of an item, if one of its attributes has a given value"""
        values = {':v': value} if expires is None else {':v': value, ':t': expires}
        self._update(
            Key={'key': key},
            UpdateExpression='REMOVE #t' if expires is None else 'SET #t = :t',
            ConditionExpression='#n = :v',
            ExpressionAttributeNames={'#n': name, '#t': 'ttl'},
            ExpressionAttributeValues=values,
        )

    def delete_to(self, targets: Iterable[str]) -> None:
        """Delete the listed redirects to entries that have been deleted"""
        for chunk in chunkify(targets, GET_BATCH):
            tracked = {self._keys.stored(SOURCES, target): target for target in chunk}
            for item in list(self._access.batch_get(tracked, 'key', 'sources')):
                sources = [source for source in item.get('sources') or () if isinstance(source, str)]
                redirects = self._with_target(tracked[item['key']], sources)
                self._access.batch_delete([*redirects, item['key']])

    def _with_target(self, target: str, sources: list[str]) -> list[str]:
        items = map(from_attribute, self._access.batch_get(sources, 'key', 'target'))
        return [item['key'] for item in items if self._value_in('', item) == target]

    def forget_targets(self, targets: Iterable[str]) -> None:
        """Delete the lists of redirects to entries that have been deleted"""
        self._access.batch_delete(self._keys.stored(SOURCES, target) for target in targets)

    def clear(self) -> None:
        """Delete all redirects of this namespace, and nothing else"""
        self._clear(REDIRECT, SOURCES)
