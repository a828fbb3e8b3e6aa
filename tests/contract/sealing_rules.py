"""What storages must do with compression and encryption, which are two keywords beside the serializer"""

from __future__ import annotations

import logging
import os
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from contract.body_rules import large, with_pieces
from contract.values import FUTURE, facts, make_response
from requests_cache.models.response import CachedResponse

KEY, OTHER_KEY = (b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100))
TEXT = b'text that can be compressed; ' * 2_000
SEALS = {
    'compressed': {'compression': True},
    'encrypted': {'encryption_key': KEY},
    'both': {'compression': 'zlib', 'encryption_key': KEY},
}


class SealingRules:
    @pytest.mark.parametrize('sealing', SEALS.values(), ids=SEALS)
    def test_responses_stay_as_they_are(
        self, sealing: dict[str, Any], serializer: Any, storage_factory: Callable[..., Any]
    ) -> None:
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

    @pytest.mark.parametrize('sealing', SEALS.values(), ids=SEALS)
    def test_large_bodies_are_sealed(self, sealing: dict[str, Any], storage_factory: Callable[..., Any]) -> None:
        storage = with_pieces(storage_factory(large_body_bytes=1_000, **sealing))
        storage['key'] = large(1)
        storage['other'] = large(2)
        assert storage['key'].content == large(1).content
        assert storage['key']._body.part(700, 1_200).read() == large(1).content[700:1_201]
        assert b''.join(storage['other'].iter_content(100)) == large(2).content
        del storage['key']
        assert list(storage) == ['other']

    def test_caches_with_and_without(self, storage_factory: Callable[..., Any]) -> None:
        plain = storage_factory()
        if not self.shared:  # type: ignore[attr-defined]
            pytest.skip('each storage has entries of its own')
        plain['plain'] = make_response(1)
        for number, sealing in enumerate(SEALS.values(), 2):
            storage_factory(**sealing)[f'{number}'] = make_response(number, content=TEXT)
        reader = storage_factory(encryption_key=[OTHER_KEY, KEY])
        assert reader['plain'].content == make_response(1).content
        assert [reader[key].content for key in '234'] == [TEXT] * 3
        assert plain['2'].content == TEXT  # to undo a compression, nothing need be said

    def test_without_the_key_it_is_a_miss(
        self, storage_factory: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Told once; and the entry is left as it is"""
        if not self.shared:  # type: ignore[attr-defined]
            pytest.skip('each storage has entries of its own')
        writer = storage_factory(encryption_key=KEY)
        for key in 'ab':
            writer[key] = make_response(1)
        for sealing in ({}, {'encryption_key': OTHER_KEY}):
            reader = storage_factory(**sealing)
            caplog.clear()
            assert [read(reader, key) for key in 'abab'] == [None] * 4
            assert [r.levelno for r in caplog.records if 'Encrypted entries' in r.message][:2] == [
                logging.WARNING,
                logging.DEBUG,
            ]
        assert facts(writer['a']) == facts(make_response(1))

    def test_entries_cannot_change_places(self, storage_factory: Callable[..., Any]) -> None:
        storage = storage_factory(encryption_key=KEY)
        if storage.serializer is None:
            pytest.skip('entries are not serialized')
        for key in ('one', 'other'):
            data = storage.serialize(make_response(1, content=None), key)
            assert storage.deserialize(key, data) is not None
            assert storage.deserialize('third', data) is None

    def test_pieces_cannot_change_places(
        self, storage_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage = with_pieces(storage_factory(encryption_key=KEY))
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

    def test_a_change_of_keys(self, cache_factory: Callable[..., Any]) -> None:
        old = cache_factory(encryption_key=KEY)
        with_pieces(old.responses)
        contents = {'small': make_response(1), 'large': large(2)}
        for key, response in contents.items():
            old.save_response(response, key)
        if not self.shared:  # type: ignore[attr-defined]
            pytest.skip('each cache has entries of its own')
        both = cache_factory(encryption_key=[OTHER_KEY, KEY])
        with_pieces(both.responses)
        steps: list[int] = []
        assert both.reencrypt(steps.append) == 2
        assert steps == [1, 2]
        new = cache_factory(encryption_key=OTHER_KEY)
        assert {key: response.content for key, response in new.responses.items()} == {
            key: response.content for key, response in contents.items()
        }
        assert not list(new.responses.pieces.unused())


def read(storage: Any, key: str) -> CachedResponse | None:
    try:
        value = storage[key]
    except KeyError:
        return None
    return value if isinstance(value, CachedResponse) else None
