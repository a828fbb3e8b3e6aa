"""Compressing stored data, unless that is not worthwhile"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from ..exceptions import InvalidEntryError, MissingDependencyError

Function = Callable[[bytes], bytes]

# Compressing shorter data is not worthwhile
MIN_COMPRESSED_BYTES = 256
# If compression does not reduce the size to this fraction, the time for decompression is not worthwhile
MAX_RATIO = 0.95
# For longer data, such as pieces of a video, samples are compressed first: slow codecs take 5 to 70 ms for a piece
SAMPLED_FROM_BYTES, SAMPLES, SAMPLE_BYTES = 16 * 1024, 4, 1024


class Codec(NamedTuple):
    """A compression method

    Args:
        number: Number in an envelope
        name: Name in `compression=`
        load: A function that returns the functions to compress and decompress
    """

    number: int
    name: str
    load: Callable[[], tuple[Function, Function]]


def _of_module(name: str) -> Callable[[], tuple[Function, Function]]:
    def load() -> tuple[Function, Function]:
        module: Any = import_module(name)
        return module.compress, module.decompress

    return load


def _load_zstd() -> tuple[Function, Function]:
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


def codec_for(compression: bool | str | None) -> Codec | None:
    """The codec for `compression=`, or None

    Args:
        compression: True for zstd if it is installed, otherwise zlib; the name of a codec; or False

    Raises:
        ValueError: There is no codec with this name
        MissingDependencyError: The library that the codec needs is not installed
    """
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


class Compression:
    """Compresses with one codec, and decompresses with any; each codec is loaded only once, as that is slow

    Args:
        codec: The codec; None for no compression
    """

    def __init__(self, codec: Codec | None):
        self.codec = codec
        self._functions: dict[int, tuple[Function, Function]] = {}

    def _functions_of(self, codec: Codec) -> tuple[Function, Function]:
        functions = self._functions.get(codec.number)
        if functions is None:
            functions = self._functions[codec.number] = codec.load()
        return functions

    def compress(self, data: bytes) -> tuple[int, bytes]:
        """Compress data, unless it is short, or does not become much smaller

        Returns:
            The number of the codec, and the compressed data; 0 and the original data if it is not compressed
        """
        if self.codec is None or len(data) < MIN_COMPRESSED_BYTES or _looks_compressed(data):
            return 0, data
        compressed = self._functions_of(self.codec)[0](data)
        return (self.codec.number, compressed) if len(compressed) < MAX_RATIO * len(data) else (0, data)

    def decompress(self, number: int, data: bytes) -> bytes:
        """Decompress the result of `compress`

        Args:
            number: The number of the codec; 0 if the data is not compressed
            data: The compressed data

        Raises:
            InvalidEntryError: The data is damaged, or there is no such codec
            MissingDependencyError: The library that the codec needs is not installed
        """
        if not number:
            return data
        codec = _BY_NUMBER.get(number)
        if codec is None:
            raise InvalidEntryError(f'this version does not know the compression of the entry (codec {number})')
        try:
            return self._functions_of(codec)[1](data)
        except MissingDependencyError:
            raise
        except Exception as e:
            raise InvalidEntryError(f'the compressed entry is damaged: {e}') from e

    def __reduce__(self) -> tuple[Any, tuple[str | None]]:
        return _compression_of, (None if self.codec is None else self.codec.name,)


def _compression_of(name: str | None) -> Compression:
    return Compression(None if name is None else CODECS[name])


def _looks_compressed(data: bytes) -> bool:
    """Whether long data is probably compressed already, judging by some samples"""
    if len(data) < SAMPLED_FROM_BYTES:
        return False
    step = len(data) // SAMPLES
    sample = b''.join(data[start : start + SAMPLE_BYTES] for start in range(0, step * SAMPLES, step))
    return len(zlib.compress(sample, 1)) >= MAX_RATIO * len(sample)
