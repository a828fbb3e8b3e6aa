"""Codecs that compress what is stored, and which data to leave alone"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from ..exceptions import InvalidEntryError, MissingDependencyError

Function = Callable[[bytes], bytes]

# What is shorter gains nothing
MIN_COMPRESSED_BYTES = 256
# Compressed data that take more than this part of the original are not worth the time to decompress them
WORTH_IT = 0.95
# Of longer data, such as pieces of a video, parts are tried first: the slow codecs take 5 to 70 ms for a piece
SAMPLED_FROM_BYTES, SAMPLES, SAMPLE_BYTES = 16 * 1024, 4, 1024


class Codec(NamedTuple):
    """A way to compress

    Args:
        number: What stands for it in an envelope
        name: Its name
        load: Gives the functions that compress and decompress
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
    """The codec that is meant by `compression=`

    Args:
        compression: `True` for the best that there is of zstd and zlib, the name of a codec, or False

    Raises:
        ValueError: There is no codec of that name
        MissingDependencyError: The library that it needs is not installed
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
    """Compresses by one codec, and decompresses by any; each is loaded once, as it takes as long as its use

    Args:
        codec: The codec; None to compress nothing
    """

    def __init__(self, codec: Codec | None):
        self.codec = codec
        self._functions: dict[int, tuple[Function, Function]] = {}

    def _of(self, codec: Codec) -> tuple[Function, Function]:
        functions = self._functions.get(codec.number)
        if functions is None:
            functions = self._functions[codec.number] = codec.load()
        return functions

    def compress(self, data: bytes) -> tuple[int, bytes]:
        """Compress data, unless they are short, or do not get smaller by much

        Returns:
            The number of the codec, and what it made; 0 and the data themselves if they are left alone
        """
        if self.codec is None or len(data) < MIN_COMPRESSED_BYTES or _is_dense(data):
            return 0, data
        compressed = self._of(self.codec)[0](data)
        return (self.codec.number, compressed) if len(compressed) < WORTH_IT * len(data) else (0, data)

    def decompress(self, number: int, data: bytes) -> bytes:
        """Undo `compress`

        Args:
            number: The number of the codec, or 0
            data: What it made

        Raises:
            InvalidEntryError: The data are damaged, or there is no such codec
            MissingDependencyError: The library that it needs is not installed
        """
        if not number:
            return data
        codec = _BY_NUMBER.get(number)
        if codec is None:
            raise InvalidEntryError(f'the entry is compressed in a way that this version does not know ({number})')
        try:
            return self._of(codec)[1](data)
        except MissingDependencyError:
            raise
        except Exception as e:
            raise InvalidEntryError(f'the compressed entry is damaged: {e}') from e

    def __reduce__(self) -> tuple[Any, tuple[str | None]]:
        return _compression_of, (None if self.codec is None else self.codec.name,)


def _compression_of(name: str | None) -> Compression:
    return Compression(None if name is None else CODECS[name])


def _is_dense(data: bytes) -> bool:
    """Whether long data are probably compressed already, going by some parts of them"""
    if len(data) < SAMPLED_FROM_BYTES:
        return False
    step = len(data) // SAMPLES
    sample = b''.join(data[start : start + SAMPLE_BYTES] for start in range(0, step * SAMPLES, step))
    return len(zlib.compress(sample, 1)) >= WORTH_IT * len(sample)
