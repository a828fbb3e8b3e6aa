"""Storage in a table of DynamoDB"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from logging import getLogger
from typing import Any

from ...exceptions import BackendError, MissingDependencyError
from ...keys.shown import shown_key, shown_text
from ...policy.expiration import ExpirationTime
from ...policy.settings import DEFAULT_CACHE_NAME
from ...serializers.preconf import dynamodb_document_serializer
from ..base import BaseCache
from .client import driver_keywords, error_code
from .items import (
    DEFAULT_NAMESPACE,
    ENTRY,
    MAX_ITEM_BYTES,
    PART,
    REDIRECT,
    SOURCES,
    fitting,
    pack,
    size_of,
    unpack,
)
from .parts import IncompleteError, PartStore
from .redirects import DynamoDbRedirects
from .storage import DynamoDbStorage
from .table import DynamoDbTable

__all__ = ['DynamoDbCache', 'DynamoDbDict']

logger = getLogger(__name__)

# Serializers whose values are records; DynamoDB holds them as maps
RECORD_SERIALIZERS = ('dynamodb_document', 'dict', 'bson_document')
OWN_KEYWORDS = frozenset({
    'connection', 'create_table', 'decode_content', 'large_items', 'namespace', 'serializer', 'table_name', 'ttl',
})  # fmt: skip
# How often an entry in parts is read that others replace in the meantime
READS = 5


def __getattr__(name: str) -> Any:
    if name == 'boto3':
        try:
            return _driver()
        except MissingDependencyError as e:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}: {e}') from e
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _driver() -> Any:
    """The module `boto3`, or what has been put in its place by assigning to `boto3` of this module"""
    replaced = globals().get('boto3')
    if replaced is not None:
        return replaced
    try:
        import boto3
    except ImportError as e:
        raise MissingDependencyError('The DynamoDB backend', 'boto3', 'dynamodb') from e
    return boto3


class DynamoDbDict(DynamoDbStorage):
    """A storage with one item of DynamoDB per entry, or several for entries of more than 400 KB

    Args:
        table_name: Name of the table
        create_table: Create the table if there is none; otherwise it needs a partition key `key` of type string, and no
            sort key
        ttl: Let DynamoDB remove entries after they have expired
        connection: An existing resource of boto3; it is not closed
        serializer: As for `BaseStorage`
        namespace: Prefix of the keys, so that several caches may share a table; the default is no prefix
        large_items: Write entries of more than 400 KB, in several items; otherwise they are left out, with a warning
        kwargs: Keywords of a boto3 session or resource, and of `BaseStorage`

    Raises:
        BackendError: boto3 cannot use the keywords; or, from all methods, the service refuses something
        BackendUnavailableError: The service cannot be reached; from all methods but this one
        MissingDependencyError: boto3 is not installed
    """

    # Those that lead to the entries
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
        **kwargs: Any,
    ):
        table = DynamoDbTable(str(table_name), connection, kwargs, _driver, bool(create_table), bool(ttl))
        super().__init__(table, ENTRY, namespace, serializer, decode_content=kwargs.get('decode_content', False))
        self.large_items = large_items
        self._parts = PartStore(table, self._keys)
        table.resource  # noqa: B018  # what is wrong with the keywords is said here
        table.set_up()

    def _create_table(self) -> None:
        self._access.create()

    def _enable_ttl(self) -> None:
        self._access.enable_ttl()

    def __getitem__(self, key: str) -> Any:
        for _ in range(READS):
            item = self._find(key)
            if item is None:
                raise KeyError(key)
            try:
                return self._read(key, item)
            except IncompleteError:
                continue
        logger.error('Unable to read a response: parts of it are missing')
        return None

    def _value_in(self, key: str, item: dict[str, Any]) -> Any:
        try:
            return self._read(key, item)
        except IncompleteError:
            return self[key]

    def _read(self, key: str, item: dict[str, Any]) -> Any:
        value, large = item.get('value'), item.get('large')
        try:
            if isinstance(large, dict):
                data = large['data'] if 'data' in large else self._parts.read(large)
                value = unpack(large.get('kind'), data)
        except (BackendError, IncompleteError):
            raise
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
        item = self._keys.item(ENTRY, key)
        expires = getattr(value, 'expires_unix', None) if self.ttl else None
        if expires is not None:
            item['ttl'] = expires
        serialized = self._serialize(key, value)
        if not isinstance(serialized, dict) and self._keeps_records:
            item['plain'] = True  # tells values that are no responses from entries of other serializers
        try:
            item['value'] = fitting(serialized, MAX_ITEM_BYTES - size_of(item))
        except ValueError:
            self._write_large(key, item, serialized)
        else:
            self._put(item)
        if self._redirects is not None and getattr(value, 'history', None):
            self._redirects.outlast(key, item.get('ttl'))

    def _write_large(self, key: str, item: dict[str, Any], value: Any) -> None:
        """Write an entry that cannot be the value of one item, because of its size or of something in it"""
        try:
            kind, data = pack(value)
        except TypeError as e:
            raise BackendError(f'DynamoDB, table {self.table_name!r}: {e}') from e
        item.update(value=None, large={'kind': kind, 'data': data})
        if size_of(item) <= MAX_ITEM_BYTES:
            self._put(item)
        elif self.large_items:
            expires = {'ttl': item['ttl']} if 'ttl' in item else {}
            item['large'] = {'kind': kind, **self._parts.write(item['key'], data, expires)}
            try:
                self._put(item)
            except BackendError:
                self._parts.discard(item['large'])
                raise
        else:
            logger.warning(
                'Not stored, as an item of DynamoDB takes 400 KB, and not %d bytes: %s', len(data), shown_key(key)
            )
            self._delete(key)

    def _put(self, item: dict[str, Any]) -> None:
        names = {'#l': 'large'}
        condition = {'ConditionExpression': 'attribute_not_exists(#l)', 'ExpressionAttributeNames': names}
        try:
            self._access.on_items('put_item', Item=item, **condition)
        except BackendError as e:
            if error_code(e.__cause__) != 'ConditionalCheckFailedException':
                raise
            replaced = self._access.on_items('put_item', Item=item, ReturnValues='ALL_OLD').get('Attributes')
            self._deleted(replaced or {})

    def _deleted(self, item: dict[str, Any]) -> None:
        self._parts.delete(item.get('large'))

    def clear(self) -> None:
        """Delete all entries of this namespace, and nothing else"""
        self._clear(ENTRY, PART)

    def sweep(self) -> None:
        """Delete parts of entries that were left behind by writers that did not come to an end"""
        self._parts.sweep()


class DynamoDbCache(BaseCache):
    """A cache in a table of DynamoDB, for use by many machines

    Args:
        table_name: Name of the table
        create_table: Create the table if there is none (on demand, with the partition key `key`). Text in this place is
            taken for the namespace.
        ttl: Let DynamoDB remove entries after they have expired; that may take some days
        connection: An existing resource of boto3 (`boto3.resource('dynamodb')`); it is not closed
        decode_content: Add a readable copy of JSON and text bodies
        serializer: A name, pipeline, stage, or any object with `dumps` and `loads`; by default entries are maps
        namespace: Prefix of the keys, so that several caches may share a table; the default is no prefix
        large_items: Write entries of more than 400 KB, in several items; otherwise they are left out, with a warning
        kwargs: Keywords of a boto3 session or resource, such as `region_name`, `endpoint_url`, `aws_access_key_id` or
            `profile_name`. The region is `us-east-1` if neither they nor the AWS configuration name one; `config` is
            merged with time limits of a few seconds.

    Raises:
        BackendError: boto3 cannot use the keywords; or, from methods that maintain the cache, the service refuses
        BackendUnavailableError: From such methods: the service cannot be reached
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
            decode_content=decode_content,
            **kwargs,
        )
        self.redirects = self.responses._redirects = DynamoDbRedirects(self.responses._access, namespace)

    @classmethod
    def owned_keywords(cls) -> frozenset[str]:
        """Keywords that the constructor and, where it is installed, boto3 take"""
        try:
            _driver()
            for_boto3 = frozenset().union(*driver_keywords())
        except MissingDependencyError:
            for_boto3 = frozenset()
        return OWN_KEYWORDS | for_boto3

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        for source, target in redirects.items():
            self.redirects.write(source, target, expires)

    def _delete_keys(self, keys: list[str]) -> int:
        removed = super()._delete_keys(keys)
        self.redirects.delete_to(keys)
        return removed

    def _delete_where(self, expired: bool, invalid: bool, older_than: ExpirationTime) -> int:
        removed = super()._delete_where(expired, invalid, older_than)
        super()._prune_redirects()
        if invalid:
            self.responses.sweep()
        return removed

    def _prune_redirects(self) -> None:
        """Done in `_delete_where` only, as it takes a scan of the table; by key, redirects go with their entry"""

    def _delete_redirects(self, redirects: Mapping[str, str | None]) -> None:
        super()._delete_redirects(redirects)
        self.redirects.forget_targets({target for target in redirects.values() if target is not None})

    def clear(self) -> None:
        """Delete all entries of this namespace, and nothing else"""
        self.responses._clear(ENTRY, PART, REDIRECT, SOURCES)
