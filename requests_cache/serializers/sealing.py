"""Compressing and encrypting entries: an envelope around the output of a serializer

An envelope starts with a unique mark, so that a store may contain entries with and without an envelope. Its format:

    mark, version, codec, cipher, kind of content, checksum of the rest,
    name of the key and nonce (only if it is encrypted), content

Encryption authenticates the content together with all of this, except the checksum, and with the place of the entry.
So decryption fails if an entry was moved to another key, or if a piece of a body was moved, repeated, or put into
another body. (It succeeds for an earlier version of the same entry, as the store does not know which version is the
latest.) The checksum serves entries that are not encrypted. It also distinguishes a damaged entry, which may be
overwritten, from an entry whose key is missing, which must not be.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .._utils import is_decimal
from ..exceptions import InvalidEntryError, MissingDependencyError, MissingKeyError, SealError
from .unpickling import dumps as dump_plain
from .unpickling import loads as load_plain

if TYPE_CHECKING:
    from .compression import Codec

MARK = b'\x00requests-cache\x00'
VERSION = 1
CHECKSUM_BYTES, KEY_BYTES, KEY_NAME_BYTES, NONCE_BYTES = 4, 32, 4, 12
NOT_ENCRYPTED, AES_GCM = 0, 1
BYTES, TEXT, VALUES = 0, 1, 2
_HEADER_BYTES = len(MARK) + 4
_HINT = 'new_encryption_key() creates one'
_START = _HEADER_BYTES + CHECKSUM_BYTES


def new_encryption_key() -> str:
    """Create a key for `encryption_key=`, as text that can be kept in a file or an environment variable"""
    return b64encode(os.urandom(KEY_BYTES)).decode('ascii')


class Seal:
    """Compresses and encrypts entries, and does the reverse

    Args:
        compression: True for zstd if it is installed, otherwise zlib; the name of a codec; or False
        encryption_key: A key of 32 bytes, or its base64, or several keys: the first one encrypts, all decrypt

    Raises:
        ValueError, TypeError: An argument is invalid
        MissingDependencyError: A required library is not installed
    """

    takes_pieces = True
    takes_key = True

    def __init__(self, compression: bool | str = False, encryption_key: Any = None):
        from .compression import Compression, codec_for

        self._compression = Compression(codec_for(compression))
        self._keys = _parse_keys(encryption_key)
        self._ciphers: dict[bytes, Any] = {}
        if self._keys:
            self._cipher(next(iter(self._keys)))  # raises an error if the library is missing

    @property
    def codec(self) -> Codec | None:
        """The codec for compression; None if entries are not compressed"""
        return self._compression.codec

    @property
    def encrypts(self) -> bool:
        return bool(self._keys)

    def __bool__(self) -> bool:
        """Whether entries are compressed or encrypted"""
        return self.codec is not None or bool(self._keys)

    def dumps(self, value: Any, place: Any = None) -> Any:
        """Put the output of a serializer into an envelope

        Args:
            value: Bytes, text, or plain values
            place: The key of the entry, or the place of a piece
        """
        if not self:
            return value
        kind, data = _to_bytes(value)
        number, data = self._compression.compress(data)
        header = MARK + bytes((VERSION, number, AES_GCM if self._keys else NOT_ENCRYPTED, kind))
        encrypted_with = b''
        if self._keys:
            name, nonce = next(iter(self._keys)), os.urandom(NONCE_BYTES)
            encrypted_with = name + nonce
            data = self._cipher(name).encrypt(nonce, data, _associated_data(header + name, place))
        return b''.join((header, _checksum(header, encrypted_with, data), encrypted_with, data))

    def loads(self, value: Any, place: Any = None) -> Any:
        """Open an envelope; values without an envelope are returned unchanged

        Raises:
            InvalidEntryError: The entry is damaged
            SealError: The entry was tampered with or moved
            MissingKeyError: The entry is encrypted with a key that is not in `encryption_key`
        """
        if not is_sealed(value):
            return value
        data = bytes(value)
        header, content = data[:_HEADER_BYTES], memoryview(data)[_START:]
        if len(data) < _START or header[len(MARK)] != VERSION:
            raise InvalidEntryError('the entry is truncated, or was sealed by a newer version')
        if _checksum(header, content) != data[_HEADER_BYTES:_START]:
            raise InvalidEntryError('the sealed entry is damaged: its checksum does not match')
        _, number, cipher, kind = header[len(MARK) :]
        if cipher not in (NOT_ENCRYPTED, AES_GCM):
            raise InvalidEntryError(f'this version does not know the encryption of the entry (cipher {cipher})')
        opened = bytes(content) if cipher == NOT_ENCRYPTED else self._decrypt(header, content, place)
        return _from_bytes(kind, self._compression.decompress(number, opened))

    def _decrypt(self, header: bytes, content: memoryview, place: Any) -> bytes:
        name, start = bytes(content[:KEY_NAME_BYTES]), KEY_NAME_BYTES + NONCE_BYTES
        if name not in self._keys:
            raise MissingKeyError('the entry is encrypted with a key that is not in encryption_key')
        from cryptography.exceptions import InvalidTag

        try:
            opened: bytes = self._cipher(name).decrypt(
                # Bytes, as earlier versions of `cryptography` take nothing else
                bytes(content[KEY_NAME_BYTES:start]),
                bytes(content[start:]),
                _associated_data(header + name, place),
            )
        except (InvalidTag, ValueError) as e:
            raise SealError('the entry was tampered with, or moved from another place in the store') from e
        return opened

    def _cipher(self, name: bytes) -> Any:
        cipher = self._ciphers.get(name)
        if cipher is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError as e:
                raise MissingDependencyError('encryption_key', 'cryptography', 'encryption') from e
            cipher = self._ciphers[name] = AESGCM(self._keys[name])
        return cipher

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_ciphers': {}}

    def __repr__(self) -> str:
        return f'Seal(compression={self.codec and self.codec.name!r}, encrypted={bool(self._keys)})'


def is_sealed(value: Any) -> bool:
    """Whether a stored value is an envelope"""
    return isinstance(value, (bytes, bytearray, memoryview)) and bytes(value[: len(MARK)]) == MARK


def _parse_keys(given: Any) -> dict[bytes, bytes]:
    """Keys by their names; the first one encrypts"""
    if given is None:
        return {}
    if isinstance(given, (list, tuple)):
        keys = [_parse_key(key, f'key {number} in encryption_key') for number, key in enumerate(given, 1)]
    else:
        keys = [_parse_key(given, 'encryption_key')]
    if not keys:
        raise ValueError(f'encryption_key is an empty list; {_HINT}')
    return {sha256(b'requests-cache key name' + key).digest()[:KEY_NAME_BYTES]: key for key in keys}


def _parse_key(given: Any, what: str) -> bytes:
    """Convert a key to bytes; error messages do not contain any part of it

    Args:
        given: The key as bytes or base64
        what: Name of the key in error messages
    """
    if not isinstance(given, (bytes, bytearray, str)):
        raise TypeError(f'{what} must be {KEY_BYTES} bytes, or their base64, not {type(given).__name__}; {_HINT}')
    if not isinstance(given, str) and len(given) == KEY_BYTES:
        return bytes(given)
    text = given.strip()  # keys from a file end with a line break
    if not text:
        raise ValueError(f'{what} is empty; {_HINT}')
    try:
        key = b64decode(text, altchars=b'-_' if set('-_') & set(str(text)) else None, validate=True)
    except (Base64Error, ValueError):
        length = '' if isinstance(given, str) else f'{len(given)} bytes instead of {KEY_BYTES}, and '
        raise ValueError(f'{what} is {length}not valid base64; {_HINT}') from None
    if len(key) != KEY_BYTES:
        raise ValueError(f'{what} is the base64 of {len(key)} bytes instead of {KEY_BYTES}; {_HINT}')
    return key


def _checksum(*parts: bytes | memoryview) -> bytes:
    checksum = 0
    for part in parts:
        checksum = crc32(part, checksum)
    return checksum.to_bytes(CHECKSUM_BYTES, 'big')


def _associated_data(header: bytes, place: Any) -> bytes:
    """Data that is authenticated together with the content"""
    return header + str('' if place is None else place).encode('utf-8', 'surrogatepass')


def _to_bytes(value: Any) -> tuple[int, bytes]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BYTES, bytes(value)
    if isinstance(value, str):
        return TEXT, value.encode('utf-8', 'surrogatepass')
    return VALUES, dump_plain(_to_plain(value))


def _from_bytes(kind: int, data: bytes) -> Any:
    if kind == TEXT:
        return data.decode('utf-8', 'surrogatepass')
    return _from_plain(load_plain(data)) if kind == VALUES else data


# Records for document stores contain some values that are not plain. Each is replaced by a pair, and tuples by lists.


def _to_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    if isinstance(value, datetime):
        return 'datetime', value.isoformat()
    if isinstance(value, timedelta):
        return 'timedelta', value.total_seconds()
    if is_decimal(value):
        return 'decimal', str(value)
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _from_plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    if type(value) is not tuple:
        return value
    kind, content = value
    if kind == 'datetime':
        return datetime.fromisoformat(content)
    if kind == 'timedelta':
        return timedelta(seconds=content)
    from decimal import Decimal

    return Decimal(content)
