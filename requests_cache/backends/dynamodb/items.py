"""Items of a DynamoDB table: partition keys, and values within the limits of the service

An entry has the format of 1.3.x: an item with the key of the entry, the response or its serialized form as `value`, and
the time of its expiration as `ttl`, if it expires. Each write adds a new `revision`. All other items have a null as
`value`, so that 1.3.x treats them as unreadable entries. So do entries whose value an attribute cannot hold, and those
with a large body, whose id is in `body`. They have their value in `packed`, as bytes.

    KEY                              an entry
    ~:redirect:KEY                   a redirect; its attribute `target` is the key of an entry
    ~:sources:KEY                    the redirects to an entry
    ~:lease:KEY                      a lease; its attribute `lease` is the holder, see `leases`
    ~:part:ID:NUMBER                 a piece of a large body; its attribute `owner` is the key of its entry
    ~:entry#DIGEST                   like the first four, for a key that is empty, too long, not encodable, or that
    ~:redirect#DIGEST                contains `~:`; the key is in the attribute `name`
    ~:sources#DIGEST
    ~:lease#DIGEST
    NAMESPACE~:…                     any of these, in a cache with a namespace
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..._utils import is_decimal
from ...serializers.record import map_values
from ...serializers.unpickling import loads as plain_pickle_loads

if TYPE_CHECKING:
    from decimal import Context, Decimal

ENTRY, REDIRECT, SOURCES, LEASE, PART = 'entry', 'redirect', 'sources', 'lease', 'part'
SEPARATOR = '~:'
DEFAULT_NAMESPACE = 'default'
MAX_KEY_BYTES = 2048
MAX_NAMESPACE_LENGTH = 200
# The limit of the service is 409,600, but its way of counting may differ a little from the one below
MAX_ITEM_BYTES = 400_000
MAX_DEPTH = 30
NUMBER_BYTES = 21


@lru_cache
def _exact_number() -> Context:
    from decimal import Clamped, Context, Inexact, Overflow, Rounded, Underflow

    return Context(prec=38, Emin=-128, Emax=126, traps=[Clamped, Inexact, Overflow, Rounded, Underflow])


class ItemKeys:
    """Partition keys of the items of one cache, which may share the table with other caches

    Args:
        namespace: Prefix of the keys; no prefix if it is None, empty, or the default
    """

    def __init__(self, namespace: str | None = None):
        self._prefix = ''
        if namespace and namespace != DEFAULT_NAMESPACE:
            literal = quote(str(namespace).encode('utf-8', 'surrogatepass'), safe='')
            if len(literal) > MAX_NAMESPACE_LENGTH:
                literal = sha256(literal.encode()).hexdigest()
            self._prefix = f'{literal}{SEPARATOR}'

    def _mark(self, kind: str) -> str:
        return f'{self._prefix}{SEPARATOR}{kind}'

    def _plain_prefix(self, kind: str) -> str:
        return self._prefix if kind == ENTRY else f'{self._mark(kind)}:'

    def stored(self, kind: str, key: str) -> str:
        """The partition key of an item"""
        key = str(key)
        stored = f'{self._plain_prefix(kind)}{key}'
        try:
            fits = 0 < len(stored.encode()) <= MAX_KEY_BYTES and SEPARATOR not in key and key != ''
        except UnicodeEncodeError:
            fits = False
        return stored if fits else f'{self._mark(kind)}#{sha256(_to_bytes(key)).hexdigest()}'

    def item(self, kind: str, key: str) -> dict[str, Any]:
        """The attributes that identify an item"""
        stored = self.stored(kind, key)
        has_digest = stored.startswith(f'{self._mark(kind)}#')
        return {'key': stored, 'name': _to_bytes(str(key))} if has_digest else {'key': stored}

    def key_of(self, kind: str, item: dict[str, Any]) -> str:
        """The key under which an item was stored"""
        if 'name' in item:
            return bytes(item['name']).decode('utf-8', 'surrogatepass')
        return str(item['key'])[len(self._plain_prefix(kind)) :]

    def selection(self, *kinds: str, attributes: Iterable[str] | None = None) -> dict[str, Any]:
        """Parameters for scanning all items of some kinds in this cache, with their keys and some or all attributes"""
        values = {f':{kind}': self._mark(kind) for kind in kinds}
        conditions = [f'begins_with(#k, :{kind})' for kind in kinds]
        if ENTRY in kinds:
            values[':other'] = self._prefix + SEPARATOR if self._prefix else SEPARATOR
            condition = 'begins_with(#k, :own) AND NOT begins_with(#k, :other)'
            if self._prefix:
                values[':own'] = self._prefix
            else:
                condition = 'NOT contains(#k, :other)'
            conditions.append(f'({condition})')
        names = {'#k': 'key', '#v': 'value'}
        parameters: dict[str, Any] = {
            'FilterExpression': f'attribute_exists(#v) AND ({" OR ".join(conditions)})',
            'ExpressionAttributeNames': names,
            'ExpressionAttributeValues': values,
        }
        if attributes is not None:
            others = {f'#a{i}': name for i, name in enumerate(attributes)}
            parameters['ProjectionExpression'] = ', '.join(['#k', *others])
            names.update(others)
        return parameters


def _to_bytes(text: str) -> bytes:
    return text.encode('utf-8', 'surrogatepass')


def to_text_attribute(text: str) -> str | bytes:
    """Convert text to an attribute: unchanged, or as bytes if it contains lone surrogates"""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _to_bytes(text)
    return text


def from_attribute(value: Any) -> Any:
    """Convert a value from boto3, which wraps binary data, to plain bytes"""
    from boto3.dynamodb.types import Binary

    return map_values(value, {Binary: lambda binary: bytes(binary.value)})


def as_text(value: Any) -> str:
    """Undo `to_text_attribute`"""
    return value if isinstance(value, str) else bytes(value).decode('utf-8', 'surrogatepass')


def fit_value(value: Any, room: int) -> Any:
    """Convert a value to an attribute of at most `room` bytes, without its readable copy if necessary

    A readable copy with numbers is left out as well, as 1.3.x uses it as the body, and cannot read it or changes them.

    Raises:
        ValueError: The value is too large, or contains an unsupported value
    """
    if _has_readable_copy(value) and not _holds_numbers(value['_decoded_content']):
        try:
            return _checked(value, room)
        except ValueError:
            pass
    return _checked(without_readable_copy(value), room)


def _holds_numbers(value: Any) -> bool:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if (isinstance(value, (int, float)) or is_decimal(value)) and not isinstance(value, bool):
            return True
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def without_readable_copy(value: Any) -> Any:
    """A record without the readable copy of its body"""
    return {k: v for k, v in value.items() if k != '_decoded_content'} if _has_readable_copy(value) else value


def _has_readable_copy(value: Any) -> bool:
    return isinstance(value, dict) and '_content' in value and '_decoded_content' in value


def _checked(value: Any, room: int) -> Any:
    size = size_of(value)
    if size > room:
        raise ValueError(f'it has {size} bytes, but there is only room for {room} in the item')
    return map_values(value, {float: _to_decimal})


def _to_decimal(value: float) -> Decimal:
    from decimal import Decimal

    return Decimal(repr(value))


def size_of(value: Any, depth: int = 0) -> int:
    """Size of a value in an item in bytes, by the rules of the service

    Raises:
        ValueError: The value is not supported
    """
    if depth > MAX_DEPTH:
        raise ValueError(f'it is nested more than {MAX_DEPTH} levels deep')
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, (int, float)) or is_decimal(value):
        return _size_of_number(value)
    if isinstance(value, list):
        return 3 + sum(1 + size_of(v, depth + 1) for v in value)
    if isinstance(value, dict) and all(isinstance(k, str) and k for k in value):
        return 3 + sum(1 + len(k.encode()) + size_of(v, depth + 1) for k, v in value.items())
    raise ValueError(f'an item cannot contain this {type(value).__name__}')


def _size_of_number(value: int | float | Decimal) -> int:
    try:
        exact = _exact_number().create_decimal(_to_decimal(value) if isinstance(value, float) else value)
    except ArithmeticError as e:
        raise ValueError('it contains a number with too many digits for an item') from e
    if not exact.is_finite():
        raise ValueError('it contains a number that is not finite')
    return NUMBER_BYTES


def pack(value: Any) -> tuple[str, bytes]:
    """Convert a value to its kind and bytes

    Raises:
        TypeError: It contains a value that is not plain data
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return 'bytes', bytes(value)
    if isinstance(value, str):
        return 'text', _to_bytes(value)
    import pickle

    return 'record', pickle.dumps(_plain(without_readable_copy(value)), protocol=4)


def unpack(kind: Any, data: bytes) -> Any:
    """Undo `pack`

    Raises:
        Exception: The data is damaged
    """
    if kind == 'bytes':
        return data
    return data.decode('utf-8', 'surrogatepass') if kind == 'text' else plain_pickle_loads(data)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if is_decimal(value):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, (str, bytes, bool, int, float)):
        return value
    raise TypeError(f'a {type(value).__name__} cannot be stored')
