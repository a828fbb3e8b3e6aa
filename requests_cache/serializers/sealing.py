"""Compressed and encrypted entries: one envelope around whatever a serializer has written

An envelope begins with a mark that nothing else begins with, so that entries with and without it can be read side by
side. What it says of itself:

    mark, version, codec, cipher, kind of content, then for an encrypted one: name of the key, nonce; then the content

All of that, and the place it is kept in, is authenticated with the content: an entry that was moved to another key, or
a piece of a body that was moved, repeated, or put into another body, does not open. (An older version of the same entry
under the same key does open, as nothing outside of the store says which one is the last.)
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from importlib import import_module
from typing import Any, NamedTuple

from .._utils import is_decimal
from ..exceptions import InvalidEntryError, MissingDependencyError, SealError
from .unpickling import dumps as dump_plain
from .unpickling import loads as load_plain

MARK = b'\x00requests-cache\x00'
VERSION = 1
# What is shorter gains nothing
MIN_COMPRESSED_BYTES = 256
# Compressed content that takes more than this part of the original is not worth undoing it
WORTH_IT = 0.95
KEY_BYTES, KEY_NAME_BYTES, NONCE_BYTES = 32, 4, 12
NOT_ENCRYPTED, AES_GCM = 0, 1
BYTES, TEXT, VALUES = 0, 1, 2
_HEADER_BYTES = len(MARK) + 4


class Codec(NamedTuple):
    """A way to compress

    Args:
        number: What stands for it in an envelope
        name: Its name
        load: Gives the functions that compress and that undo it
    """

    number: int
    name: str
    load: Callable[[], tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]


def _of_module(name: str) -> Callable[[], tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]:
    def load() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
        module: Any = import_module(name)
        return module.compress, module.decompress

    return load


def _load_zstd() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    for name in ('compression.zstd', 'backports.zstd'):
        try:
            module: Any = import_module(name)
        except ImportError:
            continue
        return module.compress, module.decompress
    try:
        zstandard: Any = import_module('zstandard')
    except ImportError as e:
        raise MissingDependencyError("compression='zstd'", 'backports.zstd', 'zstd') from e
    return (
        lambda data: zstandard.ZstdCompressor().compress(data),
        lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    )


CODECS = {
    codec.name: codec
    for codec in (
        Codec(1, 'zlib', _of_module('zlib')),
        Codec(2, 'gzip', _of_module('gzip')),
        Codec(3, 'bz2', _of_module('bz2')),
        Codec(4, 'lzma', _of_module('lzma')),
        Codec(5, 'zstd', _load_zstd),
    )
}
_BY_NUMBER = {codec.number: codec for codec in CODECS.values()}


def new_encryption_key() -> str:
    """A new key for `encryption_key=`, as text that can be kept in a file or in the environment"""
    return b64encode(os.urandom(KEY_BYTES)).decode('ascii')


class Seal:
    """Compresses and encrypts what is stored, and undoes it

    Args:
        compression: `True` for the best that there is of zstd and zlib, the name of a codec, or False
        encryption_key: A key of 32 bytes, or its base64, or several of them: the first one encrypts, all decrypt

    Raises:
        ValueError, TypeError: One of them has no meaning
        MissingDependencyError: A library that is needed is not installed
    """

    takes_pieces = True
    takes_key = True

    def __init__(self, compression: bool | str = False, encryption_key: Any = None):
        self.codec = _codec(compression)
        self._keys = _keys(encryption_key)
        self._ciphers: dict[bytes, Any] = {}
        if self._keys:
            self._cipher(next(iter(self._keys)))  # which tells if the library is missing

    @property
    def encrypts(self) -> bool:
        return bool(self._keys)

    def __bool__(self) -> bool:
        """Whether anything is done to what is written"""
        return self.codec is not None or bool(self._keys)

    def dumps(self, value: Any, place: Any = None) -> Any:
        """Seal what a serializer has written

        Args:
            value: Bytes, text, or plain values
            place: The key of the entry, or the place of a piece
        """
        if not self:
            return value
        kind, data = _to_bytes(value)
        number = 0
        if self.codec is not None and len(data) >= MIN_COMPRESSED_BYTES:
            compressed = self.codec.load()[0](data)
            if len(compressed) < WORTH_IT * len(data):
                number, data = self.codec.number, compressed
        header = MARK + bytes((VERSION, number, AES_GCM if self._keys else NOT_ENCRYPTED, kind))
        if not self._keys:
            return header + data
        name = next(iter(self._keys))
        nonce = os.urandom(NONCE_BYTES)
        return b''.join((header, name, nonce, self._cipher(name).encrypt(nonce, data, _bound(header + name, place))))

    def loads(self, value: Any, place: Any = None) -> Any:
        """Undo `dumps`; what is not sealed is given back as it is

        Raises:
            SealError: It cannot be opened with the keys that there are, or was tampered with
            InvalidEntryError: It is damaged
        """
        if not is_sealed(value):
            return value
        data = bytes(value)
        version, number, cipher, kind = data[len(MARK) : _HEADER_BYTES]
        if version != VERSION or cipher not in (NOT_ENCRYPTED, AES_GCM):
            raise InvalidEntryError(
                f'the entry is sealed in a way that this version does not know ({version}, {cipher})'
            )
        content = data[_HEADER_BYTES:] if cipher == NOT_ENCRYPTED else self._decrypted(data, place)
        if number:
            content = _decompressed(number, content)
        return _from_bytes(kind, content)

    def _decrypted(self, data: bytes, place: Any) -> bytes:
        start = _HEADER_BYTES + KEY_NAME_BYTES
        name, nonce = data[_HEADER_BYTES:start], data[start : start + NONCE_BYTES]
        if name not in self._keys:
            raise SealError('it is encrypted with another key than those in encryption_key')
        from cryptography.exceptions import InvalidTag

        try:
            opened: bytes = self._cipher(name).decrypt(nonce, data[start + NONCE_BYTES :], _bound(data[:start], place))
        except (InvalidTag, ValueError) as e:
            raise SealError('it was tampered with, or encrypted for another place in the store') from e
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
        return {**self.__dict__, 'codec': self.codec.name if self.codec is not None else None, '_ciphers': {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, codec=CODECS.get(state['codec']))

    def __repr__(self) -> str:
        return f'Seal(compression={self.codec and self.codec.name!r}, encrypted={bool(self._keys)})'


def is_sealed(value: Any) -> bool:
    """Whether what is stored is an envelope"""
    return isinstance(value, (bytes, bytearray, memoryview)) and bytes(value[: len(MARK)]) == MARK


def _codec(compression: bool | str | None) -> Codec | None:
    if not compression:
        return None
    if compression is True:
        try:
            CODECS['zstd'].load()
        except MissingDependencyError:
            return CODECS['zlib']
        return CODECS['zstd']
    codec = CODECS.get(str(compression).lower())
    if codec is None:
        names = ', '.join(map(repr, sorted(CODECS)))
        raise ValueError(f'Invalid compression: {compression!r}; it must be True, False, or one of {names}')
    codec.load()
    return codec


def _keys(given: Any) -> dict[bytes, bytes]:
    """Keys by their names, the one that encrypts first"""
    if given is None:
        return {}
    several: Iterable[Any] = [given] if isinstance(given, (bytes, bytearray, str)) else given
    keys = [_key(key) for key in several]
    if not keys:
        raise ValueError('encryption_key holds no key; new_encryption_key() makes one')
    return {sha256(b'requests-cache key name' + key).digest()[:KEY_NAME_BYTES]: key for key in keys}


def _key(given: Any) -> bytes:
    if not isinstance(given, (bytes, bytearray, str)):
        raise TypeError(f'encryption_key must be bytes, their base64, or a list of these, not {type(given).__name__}')
    if not isinstance(given, str) and len(given) == KEY_BYTES:
        return bytes(given)
    try:
        key = b64decode(given, altchars=b'-_' if set('-_') & set(str(given)) else None, validate=True)
    except (Base64Error, ValueError):
        key = b''
    if len(key) != KEY_BYTES:  # the value itself is a secret
        raise ValueError(f'encryption_key must be {KEY_BYTES} bytes, or their base64; new_encryption_key() makes one')
    return key


def _bound(header: bytes, place: Any) -> bytes:
    """What is authenticated beside the content"""
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


# Records of document stores hold some values that are not plain; a pair stands for each, and lists for tuples


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


def _decompressed(number: int, data: bytes) -> bytes:
    codec = _BY_NUMBER.get(number)
    if codec is None:
        raise InvalidEntryError(f'the entry is compressed in a way that this version does not know ({number})')
    try:
        return codec.load()[1](data)
    except MissingDependencyError:
        raise
    except Exception as e:
        raise InvalidEntryError(f'the compressed entry is damaged: {e}') from e
