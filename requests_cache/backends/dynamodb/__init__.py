"""Storage in a table of DynamoDB"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from logging import getLogger
from math import ceil
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError, CacheError, MissingDependencyError
from ...keys.shown import shown_key, shown_text
from ...models.body import Body
from ...models.response import CachedResponse
from ...policy.expiration import ExpirationTime, add_clamped
from ...policy.settings import DEFAULT_CACHE_NAME
from ...serializers.preconf import dynamodb_document_serializer
from ..base import BaseCache
from ..bodies import BodyWriter, Pieces, discard
from ..storage import STORAGE_KEYWORDS, ChangedError
from .bodies import DynamoDbPieces, body_of
from .client import driver_keywords, error_code
from .items import (
    DEFAULT_NAMESPACE,
    ENTRY,
    LEASE,
    MAX_ITEM_BYTES,
    PART,
    REDIRECT,
    SOURCES,
    fit_value,
    from_attribute,
    pack,
    size_of,
    unpack,
)
from .leases import DynamoDbLeases
from .redirects import DynamoDbRedirects
from .storage import DynamoDbStorage
from .table import DynamoDbTable

if TYPE_CHECKING:
    from ..eviction import Bounds

__all__ = ['DynamoDbCache', 'DynamoDbDict']

logger = getLogger(__name__)

# Serializers whose values are records, which DynamoDB stores as maps
RECORD_SERIALIZERS = ('dynamodb_document', 'dict', 'bson_document')
OWN_KEYWORDS = frozenset({
    'connection', 'create_table', 'decode_content', 'large_items', 'namespace', 'serializer', 'table_name', 'ttl',
    *STORAGE_KEYWORDS,
})  # fmt: skip
# A body of this length usually leaves enough room in an item for the rest of the entry, even with a readable copy
LARGE_BODY_BYTES = 128 * 1024
# Seconds; some thousand years
MAX_TTL_OFFSET = 10**11
# Stands for any item, or none
ANY: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    if name == 'boto3':
        try:
            return _driver()
        except MissingDependencyError as e:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}: {e}') from e
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _driver() -> Any:
    """The module `boto3`, or the object that was assigned to `boto3` in this module, for example by a test"""
    replaced = globals().get('boto3')
    if replaced is not None:
        return replaced
    try:
        import boto3
    except ImportError as e:
        raise MissingDependencyError('The DynamoDB backend', 'boto3', 'dynamodb') from e
    return boto3


class TooLargeError(BackendError):
    """An entry is too large for an item"""


class DynamoDbDict(DynamoDbStorage):
    """A storage with one DynamoDB item per entry, and more for large bodies

    Args:
        table_name: Name of the table
        create_table: Create the table if it does not exist. An existing table must have a partition key `key` of type
            string, and no sort key.
        ttl, connection, namespace, large_items, large_body_bytes: As for `DynamoDbCache`
        serializer: As for `BaseStorage`
        kwargs: Further keywords of `DynamoDbCache`

    Raises:
        ValueError: `max_cache_bytes` or `max_entries` is given, which are not supported, or `delete_expired_after`
            together with `ttl=False`
        BackendError: boto3 refuses the keywords. All methods raise it if the service refuses something.
        BackendUnavailableError: All other methods raise it if the service cannot be reached
        MissingDependencyError: boto3 is not installed
    """

    large_body_bytes = LARGE_BODY_BYTES
    pieces: DynamoDbPieces | None = None
    deletes_expired = True
    # Leftovers are removed only when the cache is cleaned, as that requires a scan of the table
    _has_swept = True
    # The redirects to the entries
    _redirects: DynamoDbRedirects | None = None

    def __init__(
        self,
        table_name: str,
        create_table: bool = True,
        ttl: bool = True,
        connection: Any = None,
        serializer: Any = dynamodb_document_serializer,
        namespace: str | None = DEFAULT_NAMESPACE,
        large_items: bool = True,
        large_body_bytes: int | None = None,
        **kwargs: Any,
    ):
        table = DynamoDbTable(str(table_name), connection, kwargs, _driver, bool(create_table), bool(ttl))
        decode_content = bool(kwargs.get('decode_content'))
        common = {name: kwargs[name] for name in STORAGE_KEYWORDS if name in kwargs}
        common |= {'decode_content': decode_content, 'large_body_bytes': large_body_bytes}
        super().__init__(table, ENTRY, namespace, serializer, **common)
        if self.delete_expired_after is not None and not ttl:
            raise ValueError('delete_expired_after does not work with ttl=False; omit one of them')
        self.large_items = large_items
        if self.serializer is not None:
            self.pieces = DynamoDbPieces(table, self._keys, self.delete_expired_after is not None)
        table.resource  # noqa: B018  # raises an error if the keywords are invalid
        table.set_up()

    def _bounds_of(self, max_cache_bytes: Any, max_entries: Any) -> Bounds | None:
        raise ValueError(
            'DynamoDB does not support bounds (max_cache_bytes, max_entries), because it does not know when entries '
            'were last used; it can delete expired entries by its TTL (ttl=True, the default) and delete_expired_after'
        )

    @property
    def _ttl_offset(self) -> int:
        """How many seconds entries are kept after they have expired"""
        return min(ceil(self.delete_expired_after or 0), MAX_TTL_OFFSET)

    @cached_property
    def leases(self) -> DynamoDbLeases:
        """The leases, in separate items"""
        return DynamoDbLeases(self._access, self._keys)

    def _create_table(self) -> None:
        self._access.create()

    def _enable_ttl(self) -> None:
        self._access.enable_ttl()

    def _value_in(self, key: str, item: dict[str, Any]) -> Any:
        value, packed = item.get('value'), item.get('packed')
        try:
            if value is None and isinstance(packed, dict):
                value = unpack(packed.get('kind'), packed['data'])
        except Exception as e:
            logger.error('Unable to read a response: %s', shown_text(e))
            return None
        if not isinstance(value, dict) and self._keeps_records and item.get('plain') is not True:
            logger.error('Unable to deserialize response: it is a %s, not a record', type(value).__name__)
            return None
        return self.deserialize(key, value)

    @property
    def _keeps_records(self) -> bool:
        return getattr(self.serializer, 'name', None) in RECORD_SERIALIZERS

    def __setitem__(self, key: str, value: Any) -> None:
        self._write_apart(key, value, self._write)

    def write_if(self, key: str, value: Any, is_expected: Callable[[Any], bool]) -> bool:
        return self._write_if_unchanged(key, value, is_expected, self._read, self._write)

    def _read(self, key: str) -> tuple[dict[str, Any] | None, Any]:
        found = self._find_raw(key)
        return found, None if found is None else self._value_in(key, from_attribute(found))

    @property
    def _usable_pieces(self) -> Pieces | None:
        return super()._usable_pieces if self.large_items else None

    def _write(self, key: str, value: Any, found: dict[str, Any] | None = ANY) -> None:
        """Write an entry, if the existing item is `found`; None if there should be none, `ANY` for any item"""
        try:
            self._write_item(key, value, found)
        except TooLargeError:
            pieces = self._usable_pieces
            if pieces is None or not isinstance(value, CachedResponse) or value._is_body_unread or not value.content:
                raise
            writer = BodyWriter(pieces, self.piece_stages, self, str(key), 0)
            try:
                writer.write(value.content)
                body = writer.commit()
                assert isinstance(body, Body)
                self._write_item(key, value._with_body(body), found)
            except BaseException:
                writer.abort()
                raise
            if value._body is not None:  # an empty one
                discard(pieces, str(key), value._body.id)

    def _write_item(self, key: str, value: Any, found: dict[str, Any] | None) -> None:
        item = self._keys.item(ENTRY, key)
        expires = getattr(value, 'expires_unix', None) if self.ttl else None
        if expires is not None:
            expires += self._ttl_offset
            item['ttl'] = expires
        body = None
        if isinstance(value, CachedResponse):
            item['revision'] = token_hex(8)
            body = value._body if self._usable_pieces is not None else None
        serialized = self._serialize(key, value)
        if not isinstance(serialized, dict) and self._keeps_records:
            item['plain'] = True  # distinguishes values that are not responses from entries of other serializers
        if body is not None and self.pieces is not None:
            item['body'] = self.pieces.claim(body, expires)
        if self._fill(key, item, serialized):
            self._put(item, found)
        if self._redirects is not None and getattr(value, 'history', None):
            self._redirects.outlast(key, item.get('ttl'))

    def _fill(self, key: str, item: dict[str, Any], value: Any) -> bool:
        """Put a value into an item; returns whether the item should be written

        Raises:
            BackendError: The value is too large, or cannot be stored at all
        """
        if 'body' not in item:
            try:
                item['value'] = fit_value(value, MAX_ITEM_BYTES - size_of(item))
                return True
            except ValueError:  # it is too large, or contains an unsupported value
                pass
        try:
            kind, data = pack(value)
        except TypeError as e:
            raise BackendError(f'DynamoDB, table {self.table_name!r}: {e}') from e
        item.update(value=None, packed={'kind': kind, 'data': data})
        if size_of(item) <= MAX_ITEM_BYTES:
            return True
        if self.large_items:
            raise TooLargeError(
                f'DynamoDB, table {self.table_name!r}: the entry has {len(data)} bytes, even without a body that is '
                'kept separately, but an item can hold only 400 KB'
            )
        logger.warning(
            'Response was not stored, because it has %d bytes and a DynamoDB item holds only 400 KB: %s',
            len(data),
            shown_key(key),
        )
        self._delete(key)
        return False

    def _put(self, item: dict[str, Any], found: dict[str, Any] | None) -> None:
        replaced = found
        try:
            self._access.on_items('put_item', Item=item, **_condition(found))
        except BackendError as e:
            if error_code(e.__cause__) != 'ConditionalCheckFailedException':
                raise
            if found is not ANY:
                raise ChangedError from e
            replaced = self._access.on_items('put_item', Item=item, ReturnValues='ALL_OLD').get('Attributes')
        if replaced and body_of(replaced) != body_of(item):
            self._deleted(replaced)

    def _deleted(self, item: dict[str, Any]) -> None:
        if self.pieces is not None:
            try:
                self.pieces.release(item)
            except CacheError as e:
                logger.debug('Could not delete the pieces of a body that is no longer needed: %s', shown_text(e))

    def clear(self) -> None:
        """Delete all entries of this namespace, and nothing else"""
        self._clear(ENTRY, PART, LEASE)


def _condition(found: dict[str, Any] | None) -> dict[str, Any]:
    """Parameters for replacing an item as it was found, none, or (with `ANY`) any item without a large body"""
    if found is None:
        return {'ConditionExpression': 'attribute_not_exists(#k)', 'ExpressionAttributeNames': {'#k': 'key'}}
    if found is ANY:
        return {'ConditionExpression': 'attribute_not_exists(#b)', 'ExpressionAttributeNames': {'#b': 'body'}}
    name = 'revision' if 'revision' in found else 'value'
    expressions, names = ['#n = :n' if name in found else 'attribute_not_exists(#n)'], {'#n': name}
    if name == 'value':
        # Written by an older version; an item of this version may have the same value, but has a revision
        expressions.append('attribute_not_exists(#r)')
        names['#r'] = 'revision'
    return {
        'ConditionExpression': ' AND '.join(expressions),
        'ExpressionAttributeNames': names,
        **({'ExpressionAttributeValues': {':n': found[name]}} if name in found else {}),
    }


class DynamoDbCache(BaseCache):
    """A cache in a DynamoDB table

    Args:
        table_name: Name of the table
        create_table: Create the table if it does not exist (on demand, with the partition key `key`). Text is used as
            the namespace.
        ttl: Have DynamoDB remove entries after they have expired, which may take some days
        delete_expired_after: Have DynamoDB remove responses that have been expired for this long: seconds, rounded up,
            or a `timedelta`; by default as soon as they have expired. Needs `ttl=True`.
        connection: An existing boto3 resource (`boto3.resource('dynamodb')`). It is not closed.
        decode_content: Add a readable copy of JSON and text bodies to the items
        serializer: A name, a pipeline, a stage, or any object with `dumps` and `loads`. By default, an entry is a map
            with a field for each part of the response.
        namespace: Prefix of the keys, so that several caches can share a table. The default means no prefix.
        large_items: Split entries that do not fit into one item of 400 KB into several items. Otherwise they are not
            stored, and a warning is logged.
        large_body_bytes: Keep bodies longer than this in pieces, in items of their own; 128 KiB by default
        kwargs: `compression` and `encryption_key` (see `BaseStorage`); keywords of a boto3 session or resource, such as
            `region_name`, `endpoint_url`, `aws_access_key_id` or `profile_name`. If neither they nor the AWS
            configuration specify a region, it is `us-east-1`. `config` is merged with timeouts of a few seconds.

    Raises:
        ValueError: `max_cache_bytes` or `max_entries` is given, which are not supported, or `delete_expired_after`
            together with `ttl=False`
        BackendError: boto3 refuses the keywords. Methods that maintain the cache raise it if the service refuses
            something.
        BackendUnavailableError: Methods that maintain the cache raise it if the service cannot be reached
        MissingDependencyError: boto3 is not installed
    """

    responses: DynamoDbDict
    redirects: DynamoDbRedirects

    def __init__(
        self,
        table_name: str = DEFAULT_CACHE_NAME,
        create_table: bool | str = True,
        *,
        ttl: bool = True,
        connection: Any = None,
        decode_content: bool = True,
        serializer: Any = None,
        namespace: str | None = DEFAULT_NAMESPACE,
        large_items: bool = True,
        large_body_bytes: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(cache_name=table_name)
        if isinstance(create_table, str):
            namespace = create_table
        self.responses = DynamoDbDict(
            table_name,
            create_table=bool(create_table),
            ttl=ttl,
            connection=connection,
            serializer=serializer or dynamodb_document_serializer,
            namespace=namespace,
            large_items=large_items,
            large_body_bytes=large_body_bytes,
            decode_content=decode_content,
            **kwargs,
        )
        self.redirects = self.responses._redirects = DynamoDbRedirects(self.responses._access, namespace)

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        """Names of the keywords that the constructor accepts, including those of boto3 if it is installed"""
        try:
            _driver()
            for_boto3 = frozenset().union(*driver_keywords())
        except MissingDependencyError:
            for_boto3 = frozenset()
        return OWN_KEYWORDS | for_boto3

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        if expires is not None:
            expires = add_clamped(expires, timedelta(seconds=self.responses._ttl_offset))
        for source, target in redirects.items():
            self.redirects.write(source, target, expires)

    def _clean(self, n_redirects: int) -> None:
        """Nothing to do: DynamoDB removes expired redirects itself, and checking all of them requires a scan"""

    def _delete_keys(self, keys: list[str]) -> int:
        removed = super()._delete_keys(keys)
        self.redirects.delete_to(keys)
        return removed

    def _delete_where(self, expired: bool, invalid: bool, older_than: ExpirationTime) -> int:
        removed = super()._delete_where(expired, invalid, older_than)
        super()._prune_redirects()
        self.responses.remove_leftovers()
        return removed

    def _prune_redirects(self) -> None:
        """Done only in `_delete_where`, as it requires a scan of the table; `_delete_keys` deletes redirects by key"""

    def remove_leftovers(self) -> None:
        """Remove redirects to entries that no longer exist, and what interrupted writers left behind"""
        super()._prune_redirects()
        self._remove_leftovers()

    def _delete_redirects(self, redirects: Mapping[str, str | None]) -> None:
        super()._delete_redirects(redirects)
        self.redirects.forget_targets({target for target in redirects.values() if target is not None})

    def clear(self) -> None:
        """Delete all entries of this namespace, and nothing else"""
        self.responses._clear(ENTRY, PART, LEASE, REDIRECT, SOURCES)
