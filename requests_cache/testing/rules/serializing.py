"""What a storage must do with its serializer, and with what a serializer cannot read"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from ...exceptions import BackendError
from ...serializers.pipeline import SerializerPipeline, Stage
from ...serializers.preconf import pickle_serializer, safe_pickle_serializer
from ..values import (
    STRANGE_KEYS,
    Refusing,
    facts,
    make_response,
)
from .base import Contract


class SerializingRules(Contract):
    """Values go through the serializer of the storage, and what cannot be read does no harm"""

    def test_a_changed_character_is_noticed(self, serializer: Any, storage_factory: Callable[..., Any]) -> None:
        """A response of which one character was changed in the store is not returned"""
        self.needs('readable entries')
        storage = storage_factory(**({} if serializer is None else {'serializer': serializer}))
        texts = {
            'reason': 'Right 1',
            'url': 'http://example.com/Right2',
            'headers': CaseInsensitiveDict(ETag='"Right3"'),
        }
        storage['key'] = make_response(1, **texts)
        whole = self.raw(storage, 'key')
        for right in ('Right 1', 'Right2', 'Right3', 'Very Fine'):
            self.plant(storage, 'key', _replaced(whole, right, right.replace('i', 'I')))
            assert (storage['key'] is None) is (right != 'Very Fine'), right

    def test_damaged_values_are_read_as_none(self, damage: Any, storage: Any) -> None:
        """What is no entry is read as None, is listed as all others are, and can be overwritten"""
        storage['good'] = make_response(1)
        self.plant(storage, 'bad', damage)
        assert storage['bad'] is None
        assert storage.get('bad') is None
        assert 'bad' in storage
        assert len(storage) == 2
        assert sorted(storage) == ['bad', 'good']
        scanned = dict(storage.scan())
        assert scanned.pop('bad') is None
        assert facts(scanned.pop('good')) == facts(make_response(1))
        storage['bad'] = make_response(2)
        assert facts(storage['bad']) == facts(make_response(2))

    def test_damaged_values_can_be_deleted(self, damage: Any, storage: Any) -> None:
        """What is no entry can be deleted"""
        self.plant(storage, 'a', damage)
        self.plant(storage, 'b', damage)
        del storage['a']
        assert storage.bulk_delete(['b']) == 1
        assert len(storage) == 0

    def test_looking_for_a_key_does_not_decode(self, storage: Any) -> None:
        """Looking for keys, listing and deleting them do not read entries"""
        storage['key'] = make_response(1)
        storage.serializer = Refusing(AssertionError('decoded'))
        assert 'key' in storage
        assert list(storage) == ['key']
        assert len(storage) == 1
        assert storage.bulk_delete(['key']) == 1

    def test_a_value_that_cannot_be_written_leaves_the_old_one(self, storage: Any) -> None:
        """If a value cannot be serialized, the old entry stays, and no new one is left behind"""
        storage['key'] = make_response(1)
        serializer, storage.serializer = storage.serializer, _Unwritable()
        with pytest.raises((BackendError, ZeroDivisionError)):
            storage['key'] = make_response(2)
        with pytest.raises((BackendError, ZeroDivisionError)):
            storage['new'] = make_response(2)
        storage.serializer = serializer
        assert facts(storage['key']) == facts(make_response(1))
        assert list(storage) == ['key']
        storage['key'] = make_response(3)
        assert facts(storage['key']) == facts(make_response(3))

    def test_a_wrong_signature_is_raised(self, storage_factory: Callable[..., Any]) -> None:
        """An entry that was signed with another key raises the exception of itsdangerous, as in 1.3.x"""
        itsdangerous = pytest.importorskip('itsdangerous')
        self.needs('serializers', 'sharing')
        response = make_response(1)
        storage_factory(serializer=safe_pickle_serializer('one'))['key'] = response
        assert facts(storage_factory(serializer=safe_pickle_serializer(['one', 'two']))['key']) == facts(response)
        with pytest.raises(itsdangerous.BadSignature):
            storage_factory(serializer=safe_pickle_serializer('two'))['key']

    def test_serializers_are_told_the_key(self, storage_factory: Callable[..., Any]) -> None:
        """Both `serialize` and `deserialize` are called with the key, also by `update()` and `scan()`"""
        self.needs('serializers', 'keyed serializers', 'any key')
        keyed = Stage(dumps=_bind, loads=_unbind, takes_key=True)
        storage = storage_factory(serializer=SerializerPipeline([pickle_serializer, keyed], 'keyed', is_binary=True))
        storage['key'] = make_response(1)
        storage.update({key: make_response(1) for key in ('a', 'b', *STRANGE_KEYS)})
        for key in ('key', 'a', 'b', *STRANGE_KEYS):
            assert facts(storage[key]) == facts(make_response(1))
        assert all(facts(value) == facts(make_response(1)) for _, value in storage.scan())
        assert len(list(storage.items())) == len({'key', 'a', 'b', *STRANGE_KEYS})

    def test_a_store_that_fails(self, broken_storage: Any) -> None:
        """Each method raises a `BackendError` with the exception of the driver as its cause"""

        def fails(attempt: Callable[[], Any]) -> None:
            with pytest.raises(BackendError) as caught:
                attempt()
            assert caught.value.__cause__ is not None

        attempts: list[Callable[[], Any]] = [
            lambda: broken_storage['key'],
            lambda: broken_storage.__setitem__('key', make_response(1)),
            lambda: broken_storage.__delitem__('key'),
            lambda: 'key' in broken_storage,
            lambda: len(broken_storage),
            lambda: list(broken_storage),
            lambda: list(broken_storage.scan()),
            lambda: broken_storage.bulk_delete(['key']),
        ]
        # Some drivers take seconds to give up
        with ThreadPoolExecutor(len(attempts)) as pool:
            list(pool.map(fails, attempts))


def _bind(value: bytes, key: str) -> bytes:
    return key.encode('utf-8', 'surrogatepass') + value


def _unbind(value: bytes, key: str) -> bytes:
    prefix = key.encode('utf-8', 'surrogatepass')
    if not value.startswith(prefix):
        raise ValueError('an entry of another key')
    return value.removeprefix(prefix)


def _replaced(raw: Any, old: str, new: str) -> Any:
    """What a storage keeps, with other text in some place"""
    if isinstance(raw, dict):
        return {name: _replaced(value, old, new) for name, value in raw.items()}
    if isinstance(raw, str):
        return raw.replace(old, new)
    return raw.replace(old.encode(), new.encode()) if isinstance(raw, bytes) else raw


class _Unwritable:
    def dumps(self, value: Any) -> Any:
        raise ZeroDivisionError

    def loads(self, value: Any) -> Any:
        raise ZeroDivisionError
