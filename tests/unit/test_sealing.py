"""The envelope around compressed and encrypted entries"""

from __future__ import annotations

import lzma
import os
import pickle
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode
from random import Random
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requests_cache import new_encryption_key
from requests_cache.exceptions import InvalidEntryError, MissingDependencyError, MissingKeyError, SealError
from requests_cache.serializers.compression import CODECS
from requests_cache.serializers.sealing import MARK, Seal, is_sealed

try:
    from compression import zstd
except ImportError:
    from backports import zstd

# Behind the mark, four bytes that say what it is, and the checksum
START = len(MARK) + 8
TEXT = b'some text that can be compressed, ' * 100
KEY, OTHER_KEY = (b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100))
SEALS = {
    **{name: {'compression': name} for name in CODECS},
    'best': {'compression': True},
    'encrypted': {'encryption_key': KEY},
    'both': {'compression': True, 'encryption_key': KEY},
}


@pytest.mark.parametrize('options', SEALS.values(), ids=SEALS)
class TestRoundTrip:
    @settings(max_examples=30, deadline=None)
    @given(
        value=st.binary(max_size=2_000)
        | st.text(st.characters(exclude_categories=()), max_size=2_000)
        | st.dictionaries(st.text(max_size=5), st.integers() | st.binary() | st.none() | st.lists(st.booleans()))
    )
    def test_any_value(self, options: dict[str, Any], value: Any) -> None:
        seal = Seal(**options)
        sealed = seal.dumps(value, 'key')
        assert is_sealed(sealed)
        assert seal.loads(sealed, 'key') == value

    def test_any_seal_opens_what_is_not_encrypted(self, options: dict[str, Any]) -> None:
        sealed = Seal(**options).dumps(TEXT, 'key')
        keys = {'encryption_key': options['encryption_key']} if 'encryption_key' in options else {}
        assert Seal(**keys).loads(sealed, 'key') == TEXT
        assert Seal(compression='bz2', **keys).loads(sealed, 'key') == TEXT

    def test_what_is_not_sealed_is_given_back(self, options: dict[str, Any]) -> None:
        for value in (b'', TEXT, MARK[:-1], 'text', None, {'a': 1}, pickle.dumps(1)):
            assert Seal(**options).loads(value, 'key') == value

    def test_copies_do_the_same(self, options: dict[str, Any]) -> None:
        seal = pickle.loads(pickle.dumps(Seal(**options)))
        assert seal.loads(Seal(**options).dumps(TEXT, 'key'), 'key') == TEXT
        assert Seal(**options).loads(seal.dumps(TEXT, 'key'), 'key') == TEXT


class TestCompression:
    @pytest.mark.parametrize('name', CODECS)
    def test_it_gets_smaller(self, name: str) -> None:
        assert len(Seal(compression=name).dumps(TEXT, 'key')) < len(TEXT) / 4

    def test_what_cannot_get_smaller_is_left_alone(self) -> None:
        for data in (os.urandom(5_000), b'x' * 100):
            assert Seal(compression=True).dumps(data, 'key').endswith(data)

    def test_zlib_where_there_is_no_zstd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ('compression.zstd', 'backports.zstd', 'zstandard'):
            monkeypatch.setitem(sys.modules, name, None)
        assert Seal(compression=True).codec is CODECS['zlib']
        with pytest.raises(MissingDependencyError, match=r'requests-cache\[zstd\]'):
            Seal(compression='zstd')

    @pytest.mark.parametrize('value', ['zip', 'snappy', 9])
    def test_a_name_that_nobody_knows(self, value: Any) -> None:
        with pytest.raises(
            ValueError, match=f"Invalid compression: {value!r}; it must be True, False, or one of 'bz2'"
        ):
            Seal(compression=value)

    def test_long_data_that_are_dense_are_not_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The slow codecs take a while to find out"""
        seal = Seal(compression='lzma')
        monkeypatch.setattr(lzma, 'compress', lambda data: pytest.fail('tried'))
        data = Random(1).randbytes(100_000)
        assert seal.loads(seal.dumps(data, 'key'), 'key') == data

    @pytest.mark.parametrize('length', [255, 256, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_003])
    def test_lengths_about_the_limits(self, length: int) -> None:
        seal, data = Seal(compression='zlib'), (TEXT * 30)[:length]
        sealed = seal.dumps(data, 'key')
        assert seal.loads(sealed, 'key') == data
        assert (len(sealed) < len(data)) == (length >= 256)

    @pytest.mark.parametrize('name', CODECS)
    def test_the_library_is_missing_that_it_was_compressed_with(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sealed = Seal(compression=name).dumps(TEXT, 'key')
        for library in ('compression.zstd', 'backports.zstd', 'zstandard'):
            monkeypatch.setitem(sys.modules, library, None)
        if name == 'zstd':
            with pytest.raises(MissingDependencyError, match=r'requests-cache\[zstd\]'):
                Seal().loads(sealed, 'key')
        else:
            assert Seal().loads(sealed, 'key') == TEXT

    def test_of_zstandard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What one library compresses the other one decompresses"""
        zstandard = SimpleNamespace(
            ZstdCompressor=lambda: SimpleNamespace(compress=zstd.compress),
            ZstdDecompressor=lambda: SimpleNamespace(decompressobj=zstd.ZstdDecompressor),
        )
        sealed = Seal(compression='zstd').dumps(TEXT, 'key')
        for library in ('compression.zstd', 'backports.zstd'):
            monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setitem(sys.modules, 'zstandard', zstandard)
        assert Seal().loads(sealed, 'key') == TEXT
        assert Seal().loads(Seal(compression='zstd').dumps(TEXT, 'key'), 'key') == TEXT


@pytest.mark.parametrize('options', SEALS.values(), ids=SEALS)
class TestDamage:
    """Damage is told from a missing key, as what is damaged may be written over"""

    def test_every_byte_counts(self, options: dict[str, Any]) -> None:
        seal = Seal(**options)
        for content in (TEXT, b'short'):
            sealed = seal.dumps(content, 'key')
            for position in range(len(sealed)):
                for bit in (0x01, 0x80):
                    damaged = bytearray(sealed)
                    damaged[position] ^= bit
                    assert is_refused(seal, bytes(damaged)), position

    def test_every_length_counts(self, options: dict[str, Any]) -> None:
        seal = Seal(**options)
        for content in (TEXT, b'short', b''):
            sealed = seal.dumps(content, 'key')
            assert all(is_refused(seal, sealed[:length]) for length in range(1, len(sealed)))
            assert is_refused(seal, sealed + b'x')
            assert is_refused(seal, sealed + sealed)
            assert is_refused(seal, b'x' + sealed)

    def test_whatever_follows_the_mark(self, options: dict[str, Any]) -> None:
        seal = Seal(**options)
        for data in (b'', b'\x01', b'\xff' * 100, os.urandom(200), b'\x01\x00\x00\x00' + bytes(4)):
            assert is_refused(seal, MARK + data)


def is_refused(seal: Seal, data: bytes) -> bool:
    """Whether it is damaged, or no envelope any more: what is left for a serializer to refuse"""
    try:
        return bool(seal.loads(data, 'key') == data and not is_sealed(data))
    except InvalidEntryError as e:
        return type(e) is InvalidEntryError


class TestEncryption:
    def test_nothing_of_it_can_be_seen(self) -> None:
        sealed = Seal(encryption_key=KEY).dumps(TEXT, 'key')
        assert b'text' not in sealed
        assert Seal(encryption_key=KEY).dumps(TEXT, 'key') != sealed

    def test_every_byte_is_authenticated(self) -> None:
        """Not only by the checksum, which whoever tampers with an entry makes anew"""
        seal = Seal(compression=True, encryption_key=KEY)
        sealed = seal.dumps(TEXT, 'key')
        for position in [*range(len(MARK), START - 4), *range(START, len(sealed))]:
            changed = bytearray(sealed)
            changed[position] ^= 0x01
            with pytest.raises(InvalidEntryError) as caught:
                seal.loads(with_checksum(changed), 'key')
            assert 'checksum' not in str(caught.value)

    def test_entries_change_places(self) -> None:
        seal = Seal(encryption_key=KEY)
        one, other = seal.dumps(b'one', 'a'), seal.dumps(b'other', 'b')
        for sealed, place in ((one, 'b'), (other, 'a')):
            with pytest.raises(SealError, match='moved from another place'):
                seal.loads(sealed, place)

    def test_an_older_version_of_the_same_entry(self) -> None:
        """Which nothing outside of the store tells from the present one"""
        seal = Seal(encryption_key=KEY)
        older = seal.dumps(b'older', 'key')
        assert seal.loads(seal.dumps(b'newer', 'key'), 'key') == b'newer'
        assert seal.loads(older, 'key') == b'older'

    def test_it_belongs_to_its_place(self) -> None:
        seal = Seal(encryption_key=KEY)
        sealed = seal.dumps(TEXT, 'key/id/0')
        for place in ('key/id/1', 'key/other/0', 'key', '', None):
            with pytest.raises(SealError, match='tampered with, or moved from another place'):
                seal.loads(sealed, place)

    def test_what_is_said_of_it_cannot_be_changed(self) -> None:
        """A compressed entry cannot be passed off as one that is not, nor text as bytes"""
        seal = Seal(compression='zlib', encryption_key=KEY)
        sealed = bytearray(seal.dumps(TEXT, 'key'))
        for position, value in ((1, 0), (1, 5), (3, 1), (3, 2)):
            changed = bytearray(sealed)
            changed[len(MARK) + position] = value
            with pytest.raises(SealError):
                seal.loads(with_checksum(changed), 'key')

    def test_keys_are_changed_one_after_the_other(self) -> None:
        old, new = Seal(encryption_key=KEY), Seal(encryption_key=[OTHER_KEY, KEY])
        assert new.loads(old.dumps(TEXT, 'key'), 'key') == TEXT
        sealed = new.dumps(TEXT, 'key')
        assert Seal(encryption_key=OTHER_KEY).loads(sealed, 'key') == TEXT
        for seal in (old, Seal(), Seal(compression=True)):
            with pytest.raises(MissingKeyError, match='a key that is not in encryption_key'):
                seal.loads(sealed, 'key')

    def test_forms_of_a_key(self) -> None:
        raw = b64decode(KEY)
        sealed = Seal(encryption_key=KEY).dumps(TEXT, 'key')
        for key in (raw, bytearray(raw), KEY.encode(), f'{KEY}\n', urlsafe_b64encode(raw).decode(), [raw], (KEY,)):
            assert Seal(encryption_key=key).loads(sealed, 'key') == TEXT

    @pytest.mark.parametrize(
        ('key', 'error', 'text'),
        [
            (
                b'secret',
                ValueError,
                'encryption_key is 6 bytes instead of 32, and not valid base64; new_encryption_key()',
            ),
            (b'\xff' * 33, ValueError, 'encryption_key is 33 bytes instead of 32, and not valid base64'),
            ('secret!', ValueError, 'encryption_key is not valid base64; new_encryption_key() creates one'),
            ('schlüssel', ValueError, 'encryption_key is not valid base64'),
            (KEY[:-1], ValueError, 'encryption_key is not valid base64'),
            (KEY[:-4], ValueError, 'encryption_key is the base64 of 30 bytes instead of 32'),
            ('secretse' * 4, ValueError, 'encryption_key is the base64 of 24 bytes instead of 32'),
            ('', ValueError, 'encryption_key is empty'),
            (b' \n', ValueError, 'encryption_key is empty'),
            ([], ValueError, 'encryption_key is an empty list'),
            ([KEY, 'secret'], ValueError, 'key 2 in encryption_key is not valid base64'),
            ([KEY, None], TypeError, 'key 2 in encryption_key must be 32 bytes, or their base64, not NoneType'),
            (5, TypeError, 'encryption_key must be 32 bytes, or their base64, not int'),
            (True, TypeError, 'not bool'),
            ({'secret': KEY}, TypeError, 'not dict'),
        ],
        ids=str,
    )
    def test_what_is_no_key(self, key: Any, error: type[Exception], text: str) -> None:
        with pytest.raises(error) as caught:
            Seal(encryption_key=key)
        assert text in str(caught.value)
        assert 'secret' not in str(caught.value)
        assert KEY[:8] not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__

    def test_keys_are_not_shown(self) -> None:
        assert KEY not in repr(Seal(encryption_key=KEY))
        assert repr(b64decode(KEY)) not in repr(Seal(encryption_key=KEY))

    def test_new_keys_are_new(self) -> None:
        assert len({new_encryption_key() for _ in range(20)}) == 20
        assert len(b64decode(new_encryption_key())) == 32

    def test_the_library_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, 'cryptography.hazmat.primitives.ciphers.aead', None)
        with pytest.raises(MissingDependencyError, match=r'requests-cache\[encryption\]'):
            Seal(encryption_key=KEY)


def test_a_later_version() -> None:
    sealed = bytearray(Seal(compression='zlib').dumps(TEXT, 'key'))
    sealed[len(MARK)] = 9
    with pytest.raises(InvalidEntryError, match='newer version'):
        Seal().loads(bytes(sealed), 'key')


def test_a_later_cipher_or_codec() -> None:
    for position in (1, 2):
        sealed = bytearray(Seal(compression='zlib').dumps(TEXT, 'key'))
        sealed[len(MARK) + position] = 99
        with pytest.raises(InvalidEntryError, match='does not know'):
            Seal(encryption_key=KEY).loads(with_checksum(sealed), 'key')


def with_checksum(sealed: bytes | bytearray) -> bytes:
    """An envelope with the checksum that is right for it"""
    header, rest = sealed[: START - 4], sealed[START:]
    return bytes(header + crc32(header + rest).to_bytes(4, 'big') + rest)
