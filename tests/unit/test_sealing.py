"""The envelope around compressed and encrypted entries"""

from __future__ import annotations

import os
import pickle
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requests_cache import new_encryption_key
from requests_cache.exceptions import InvalidEntryError, MissingDependencyError, SealError
from requests_cache.serializers.sealing import CODECS, MARK, Seal, is_sealed

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

    @pytest.mark.parametrize('name', CODECS)
    def test_damage(self, name: str) -> None:
        sealed = Seal(compression=name).dumps(TEXT, 'key')
        for position in range(0, len(sealed), 3):
            damaged = bytearray(sealed)
            damaged[position] ^= 0x10
            try:
                value = Seal().loads(bytes(damaged), 'key')
            except InvalidEntryError:
                continue
            # Not sealed any more; or content whose own checksum will tell, as not every codec has one
            assert value == bytes(damaged) or name in ('zstd', 'zlib', 'lzma', 'bz2', 'gzip')


class TestEncryption:
    def test_nothing_of_it_can_be_seen(self) -> None:
        sealed = Seal(encryption_key=KEY).dumps(TEXT, 'key')
        assert b'text' not in sealed
        assert Seal(encryption_key=KEY).dumps(TEXT, 'key') != sealed

    def test_every_byte_counts(self) -> None:
        seal = Seal(compression=True, encryption_key=KEY)
        sealed = seal.dumps(TEXT, 'key')
        for position in range(len(MARK), len(sealed)):
            damaged = bytearray(sealed)
            damaged[position] ^= 0x01
            with pytest.raises(InvalidEntryError):
                seal.loads(bytes(damaged), 'key')

    def test_every_length_counts(self) -> None:
        seal = Seal(encryption_key=KEY)
        sealed = seal.dumps(TEXT[:50], 'key')
        for length in range(len(MARK), len(sealed)):
            with pytest.raises((InvalidEntryError, ValueError)):
                seal.loads(sealed[:length], 'key')
        with pytest.raises(SealError):
            seal.loads(sealed + b'x', 'key')

    def test_it_belongs_to_its_place(self) -> None:
        seal = Seal(encryption_key=KEY)
        sealed = seal.dumps(TEXT, 'key/id/0')
        for place in ('key/id/1', 'key/other/0', 'key', '', None):
            with pytest.raises(SealError, match='tampered with, or encrypted for another place'):
                seal.loads(sealed, place)

    def test_what_is_said_of_it_cannot_be_changed(self) -> None:
        """A compressed entry cannot be passed off as one that is not, nor text as bytes"""
        seal = Seal(compression='zlib', encryption_key=KEY)
        sealed = bytearray(seal.dumps(TEXT, 'key'))
        sealed[len(MARK) + 1] = 0
        with pytest.raises(SealError):
            seal.loads(bytes(sealed), 'key')

    def test_keys_are_changed_one_after_the_other(self) -> None:
        old, new = Seal(encryption_key=KEY), Seal(encryption_key=[OTHER_KEY, KEY])
        assert new.loads(old.dumps(TEXT, 'key'), 'key') == TEXT
        sealed = new.dumps(TEXT, 'key')
        assert Seal(encryption_key=OTHER_KEY).loads(sealed, 'key') == TEXT
        with pytest.raises(SealError, match='another key than those in encryption_key'):
            old.loads(sealed, 'key')
        with pytest.raises(SealError, match='another key than those in encryption_key'):
            Seal().loads(sealed, 'key')

    def test_forms_of_a_key(self) -> None:
        raw = b64decode(KEY)
        sealed = Seal(encryption_key=KEY).dumps(TEXT, 'key')
        for key in (raw, bytearray(raw), KEY.encode(), urlsafe_b64encode(raw).decode(), [raw], (KEY,)):
            assert Seal(encryption_key=key).loads(sealed, 'key') == TEXT

    @pytest.mark.parametrize('key', [b'short', 'not base64!', '', KEY[:-4], b'x' * 33, []])
    def test_what_is_no_key(self, key: Any) -> None:
        with pytest.raises(ValueError, match='encryption_key') as caught:
            Seal(encryption_key=key)
        assert not key or str(key) not in str(caught.value)

    @pytest.mark.parametrize('key', [5, [5], object()])
    def test_what_is_nothing_like_a_key(self, key: Any) -> None:
        with pytest.raises(TypeError):
            Seal(encryption_key=key)

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
    with pytest.raises(InvalidEntryError, match='does not know'):
        Seal().loads(bytes(sealed), 'key')
