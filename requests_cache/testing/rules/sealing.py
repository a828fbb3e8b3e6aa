"""What storages must do with compression and encryption, which are two keywords beside the serializer"""

from __future__ import annotations

import logging
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import pytest

from ...models.response import CachedResponse
from ..values import FUTURE, facts, large, make_response
from .base import Contract

KEY, OTHER_KEY = (b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100))
TEXT = b'text that can be compressed; ' * 2_000
encrypting = pytest.mark.skipif(
    find_spec('cryptography') is None, reason="cryptography is not installed: pip install 'requests-cache[encryption]'"
)
SEALS: dict[str, dict[str, Any]] = {
    'compressed': {'compression': True},
    'encrypted': {'encryption_key': KEY},
    'both': {'compression': 'zlib', 'encryption_key': KEY},
}
every_sealing = pytest.mark.parametrize(
    'sealing',
    [pytest.param(seal, id=name, marks=encrypting if 'encryption_key' in seal else ()) for name, seal in SEALS.items()],
)
# For a run of the whole contract with both: what has the most stages, and the shortest of which is authenticated
SEALED: dict[str, Any] = {'compression': True, 'encryption_key': KEY}
NOT_SEALED: dict[str, Any] = {'compression': False, 'encryption_key': None}


class Sealed:
    """For a run of all rules with `SEALED` among the keywords of storages and caches; goes before the rules"""

    serializers: tuple[Any, ...] = (None,)
    lacks: Mapping[str, str] = {'readable entries': 'entries are encrypted; see test_any_byte_is_changed'}


class SealingRules(Contract):
    """The keywords `compression` and `encryption_key` work beside any serializer"""

    @every_sealing
    def test_responses_stay_as_they_are(
        self, sealing: dict[str, Any], serializer: Any, storage_factory: Callable[..., Any]
    ) -> None:
        """Compressed and encrypted responses are read as they were written"""
        own = {} if serializer is None else {'serializer': serializer}
        storage = storage_factory(**sealing, **own)
        responses = {
            'small': make_response(1),
            'empty': make_response(2, content=b''),
            'text': make_response(3, content=TEXT),
            'random': make_response(4, content=os.urandom(20_000), expires=FUTURE),
        }
        for key, response in responses.items():
            storage[key] = response
        for key, response in responses.items():
            assert facts(storage[key]) == facts(response)
        assert {key: value.content for key, value in storage.scan()} == {k: r.content for k, r in responses.items()}
        assert storage['text'].size == len(TEXT)

    @every_sealing
    def test_large_bodies_are_sealed(self, sealing: dict[str, Any], storage_factory: Callable[..., Any]) -> None:
        """So are bodies in pieces"""
        storage = self.in_pieces(storage_factory(large_body_bytes=1_000, **sealing))
        storage['key'] = large(1)
        storage['other'] = large(2)
        assert storage['key'].content == large(1).content
        assert storage['key']._body.part(700, 1_200).read() == large(1).content[700:1_201]
        assert b''.join(storage['other'].iter_content(100)) == large(2).content
        del storage['key']
        assert list(storage) == ['other']

    @encrypting
    def test_caches_with_and_without(self, storage_factory: Callable[..., Any]) -> None:
        """Storages with and without these keywords may use the same place"""
        plain = storage_factory(**NOT_SEALED)
        self.needs('sharing')
        plain['plain'] = make_response(1)
        for number, sealing in enumerate(SEALS.values(), 2):
            storage_factory(**{**NOT_SEALED, **sealing})[f'{number}'] = make_response(number, content=TEXT)
        reader = storage_factory(encryption_key=[OTHER_KEY, KEY])
        assert reader['plain'].content == make_response(1).content
        assert [reader[key].content for key in '234'] == [TEXT] * 3
        assert plain['2'].content == TEXT  # to undo a compression, nothing need be said

    @encrypting
    def test_without_the_key_it_is_a_miss(
        self, storage_factory: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """An entry whose key was not given is read as None, with one warning, and stays"""
        self.needs('sharing')
        caplog.set_level(logging.DEBUG, 'requests_cache')
        writer = storage_factory(encryption_key=KEY)
        for key in 'ab':
            writer[key] = make_response(1)
        for sealing in (NOT_SEALED, {'encryption_key': OTHER_KEY}):
            reader = storage_factory(**sealing)
            caplog.clear()
            assert [read(reader, key) for key in 'abab'] == [None] * 4
            assert [r.levelno for r in caplog.records if 'Encrypted entries' in r.message][:2] == [
                logging.WARNING,
                logging.DEBUG,
            ]
            assert reader.is_locked('a')
            assert not reader.is_locked('none')
            del writer['b']
            assert not reader.is_locked('b')
            writer['b'] = make_response(1)
        assert facts(writer['a']) == facts(make_response(1))
        reader['a'] = make_response(2)  # whoever writes to the storage itself means it
        assert facts(reader['a']) == facts(make_response(2))
        assert not reader.is_locked('a')

    @encrypting
    def test_entries_cannot_change_places(self, storage_factory: Callable[..., Any]) -> None:
        """An encrypted entry that was moved to another key is read as None"""
        storage = storage_factory(encryption_key=KEY)
        if storage.serializer is None:
            pytest.skip('entries are not serialized')
        for key in ('one', 'other'):
            data = storage.serialize(make_response(1, content=None), key)
            assert storage.deserialize(key, data) is not None
            assert storage.deserialize('third', data) is None

    @every_sealing
    def test_any_byte_is_changed(self, sealing: dict[str, Any], storage_factory: Callable[..., Any]) -> None:
        """An entry of which any byte was changed, or that was cut off, is not returned"""
        storage = storage_factory(**{**NOT_SEALED, **sealing})
        if storage.serializer is None:
            pytest.skip('entries are not serialized')
        data = storage.serialize(make_response(1), 'key')
        for position in range(0, len(data), 29):
            changed = bytearray(data)
            changed[position] ^= 0x21
            assert not isinstance(storage.deserialize('key', bytes(changed)), CachedResponse), position
            assert not isinstance(storage.deserialize('key', data[:position]), CachedResponse), position

    @encrypting
    def test_pieces_cannot_change_places(
        self, storage_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Encrypted pieces of a body that have changed places are not returned"""
        storage = self.in_pieces(storage_factory(encryption_key=KEY, large_body_bytes=1_000))
        storage['key'] = large(1)
        read = type(storage.pieces).read
        for other in (lambda index: index ^ 1, lambda index: 0):
            with monkeypatch.context() as patch:
                patch.setattr(
                    type(storage.pieces),
                    'read',
                    lambda self, key, body_id, index, other=other: read(self, key, body_id, other(index)),
                )
                with pytest.raises(OSError, match=r'cannot be read|gone|tampered'):
                    storage['key']._body.read()

    @encrypting
    def test_a_change_of_keys(self, cache_factory: Callable[..., Any]) -> None:
        """`reencrypt()` writes all entries with the first key, after which the others are not needed"""
        old = cache_factory(encryption_key=KEY)
        self.in_pieces(old.responses)
        contents = {'small': make_response(1), 'large': large(2)}
        for key, response in contents.items():
            old.save_response(response, key)
        self.needs('sharing')
        both = cache_factory(encryption_key=[OTHER_KEY, KEY])
        self.in_pieces(both.responses)
        steps: list[int] = []
        assert both.reencrypt(steps.append) == 2
        assert steps == [1, 2]
        new = cache_factory(encryption_key=OTHER_KEY)
        assert {key: response.content for key, response in new.responses.items()} == {
            key: response.content for key, response in contents.items()
        }
        assert not list(new.responses.pieces.unused())

    @encrypting
    @pytest.mark.parametrize('where', ['in a body', 'in an entry'])
    def test_a_change_of_keys_is_interrupted(
        self, where: str, cache_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After an interruption, every entry can be read by one of the two keys, and the change can be resumed"""
        contents = {'small': make_response(1), 'large': large(2), 'another': large(3), 'last': make_response(4)}
        cache = cache_factory(encryption_key=KEY, large_body_bytes=1_000)
        self.in_pieces(cache.responses)
        for key, response in contents.items():
            cache.save_response(response, key)
        if self.has('sharing'):
            cache = cache_factory(encryption_key=[OTHER_KEY, KEY], large_body_bytes=1_000)
            self.in_pieces(cache.responses)
        with monkeypatch.context() as patch:
            interrupt = interrupting(4 if where == 'in a body' else 2)
            if where == 'in a body':
                patch.setattr(cache.responses.pieces, 'write', interrupt(cache.responses.pieces.write))
            else:
                patch.setattr(cache.responses, 'serialize', interrupt(cache.responses.serialize))
            with pytest.raises(KeyboardInterrupt):
                cache.reencrypt()
        expected = {key: response.content for key, response in contents.items()}
        assert {key: response.content for key, response in cache.responses.items()} == expected
        assert cache.reencrypt() == len(contents)
        if self.has('sharing'):
            cache = cache_factory(encryption_key=OTHER_KEY, large_body_bytes=1_000)
        assert {key: response.content for key, response in cache.responses.items()} == expected
        # The body of an entry that may or may not have been written stays until the process is gone
        assert len(list(cache.responses.pieces.unused())) <= (where == 'in an entry')


def interrupting(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes functions that are interrupted when one of them is called for the nth time"""
    calls = iter(range(1, count + 1))

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if next(calls, count) == count:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return wrapped

    return wrap


def read(storage: Any, key: str) -> CachedResponse | None:
    try:
        value = storage[key]
    except KeyError:
        return None
    return value if isinstance(value, CachedResponse) else None
