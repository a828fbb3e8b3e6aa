"""What a storage must do as a mapping"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.cookies import cookiejar_from_dict
from requests.structures import CaseInsensitiveDict

from ..values import (
    CLOSE_KEYS,
    FAR,
    PAST,
    STRANGE_KEYS,
    facts,
    make_response,
)
from .base import Contract

KEYS = st.text(st.characters(exclude_categories=()), max_size=40)
DIGESTS = st.text('0123456789abcdef', min_size=16, max_size=16)


class MappingRules(Contract):
    """A storage is a mutable mapping: from keys to responses as `responses`, from keys to keys as `redirects`"""

    def test_set_and_get(self, storage: Any, serializer: Any, storage_factory: Callable[..., Any]) -> None:
        """A response is read as it was written, and has its key in `cache_key`"""
        if serializer is not None:
            storage = storage_factory(serializer=serializer)
        storage['key'] = make_response(1)
        read = storage['key']
        assert facts(read) == facts(make_response(1))
        assert read.cache_key == 'key'

    def test_all_fields_survive(self, serializer: Any, storage_factory: Callable[..., Any]) -> None:
        """No field of a response may be lost or rounded, whatever the serializer"""
        storage = storage_factory(**({} if serializer is None else {'serializer': serializer}))
        response = make_response(
            1,
            content=b'{"a": 1.10, "\xc3\xa9": [true, null]}\n',
            cookies=cookiejar_from_dict({'name': 'value'}),  # type: ignore[no-untyped-call]
            elapsed=timedelta(seconds=1, milliseconds=500),
            encoding=None,
            expires=FAR,
            headers=CaseInsensitiveDict({'Content-Type': 'application/json', 'X-Name': 'caf\u00e9 \u2603'}),
            history=[make_response(2, status_code=302), make_response(3, status_code=301)],
            reason=None,
        )
        storage['key'] = response
        assert facts(storage['key']) == facts(response)

    @pytest.mark.parametrize(
        'content_type', ['application/json', 'text/html', 'text/plain; charset=utf-16', 'image/png']
    )
    def test_bodies_are_kept_byte_for_byte(
        self, content_type: str, serializer: Any, storage_factory: Callable[..., Any]
    ) -> None:
        """A body that is text, JSON or neither is read with the same bytes, also if it is empty or long"""
        storage = storage_factory(**({} if serializer is None else {'serializer': serializer}))
        for content in (b'', b'null', b'text', b'\xff\xfe\x00', b'x' * 100_000):
            headers = CaseInsensitiveDict({'Content-Type': content_type, 'Content-Length': str(len(content))})
            storage[f'key {len(content)}'] = make_response(content=content, headers=headers)
            read = storage[f'key {len(content)}']
            assert read.content == content
            assert read.headers == headers

    def test_overwriting_replaces(self, storage: Any) -> None:
        """Writing to a key that exists replaces its entry; it makes no second one"""
        storage['key'] = make_response(1, content=b'long ' * 1000)
        storage['key'] = make_response(2, content=b'')
        assert facts(storage['key']) == facts(make_response(2, content=b''))
        assert len(storage) == 1

    def test_empty(self, storage: Any, redirects: Any) -> None:
        """A storage without entries has none by any method, and needs no set-up"""
        for empty in (storage, redirects):
            assert len(empty) == 0
            assert list(empty) == list(empty.keys()) == list(empty.values()) == list(empty.items()) == []
            assert list(empty.scan()) == []
            assert 'key' not in empty
            assert empty.get('key') is None
            assert empty.get('key', 'other') == empty.pop('key', 'other') == 'other'
            assert str(empty) == '[]'
            empty.clear()

    def test_missing_keys(self, storage: Any, redirects: Any) -> None:
        """Reading or deleting a key that does not exist raises a KeyError, and no other exception"""
        for mapping in (storage, redirects):
            with pytest.raises(KeyError):
                mapping['key']
            with pytest.raises(KeyError):
                del mapping['key']
            with pytest.raises(KeyError):
                mapping.pop('key')
            with pytest.raises(KeyError):
                mapping.popitem()

    def test_mapping_methods(self, redirects: Any) -> None:
        """What `MutableMapping` derives from the five methods works, and `str()` shows the keys"""
        redirects.update({'a': '1', 'b': '2'}, c='3')
        assert dict(redirects.items()) == {'a': '1', 'b': '2', 'c': '3'}
        assert sorted(redirects.values()) == ['1', '2', '3']
        assert sorted(redirects.keys()) == sorted(redirects) == ['a', 'b', 'c']
        assert dict(redirects.scan()) == {'a': '1', 'b': '2', 'c': '3'}
        assert redirects.pop('a') == '1'
        assert redirects.setdefault('b', 'other') == '2'
        assert redirects.setdefault('d', '4') == '4'
        key, value = redirects.popitem()
        assert {'b': '2', 'c': '3', 'd': '4'}[key] == value
        assert key not in redirects
        assert len(redirects) == 2
        assert str(redirects) == str(list(redirects))

    def test_redirects_are_plain_text(self, redirects: Any) -> None:
        """Redirects are read as text, of the type `str`"""
        for value in ('target', '', "it's", 'ключ\n\x00'):
            redirects['key'] = value
            assert redirects['key'] == value
            assert type(redirects['key']) is str

    def test_delete(self, storage: Any) -> None:
        """Deleting a key removes its entry, and no other"""
        storage.update({'a': make_response(1), 'b': make_response(2)})
        del storage['a']
        assert list(storage) == ['b']
        with pytest.raises(KeyError):
            del storage['a']

    def test_clear(self, storage: Any, redirects: Any) -> None:
        """`clear()` removes all entries of this storage, and none of the other storage in the same place"""
        storage.update({'a': make_response(1), 'b': make_response(2)})
        redirects['a'] = 'b'
        storage.clear()
        assert list(storage) == []
        assert dict(redirects.items()) == {'a': 'b'}
        storage['c'] = make_response(3)
        assert list(storage) == ['c']

    def test_each_read_gives_an_object_of_its_own(self, storage: Any) -> None:
        """A caller that changes a response changes neither what is stored nor what others read"""
        response = make_response(1)
        storage['key'] = response
        response.headers['X-Number'] = 'changed'
        storage['key'].headers['X-Number'] = 'changed too'
        assert storage['key'].headers['X-Number'] == '1'
        assert storage['key'] is not storage['key']

    def test_keys_may_hold_anything(self, storage: Any, redirects: Any) -> None:
        """A key of a `key_fn` may look like a path, SQL or a pattern, and is never taken for one"""
        self.needs('any key')
        storage['other'] = make_response(0)
        for key in STRANGE_KEYS:
            for mapping, value in ((storage, make_response(1)), (redirects, 'target')):
                assert key not in mapping
                with pytest.raises(KeyError):
                    mapping[key]
                mapping[key] = value
                assert key in mapping
                assert key in list(mapping)
                assert key in dict(mapping.scan())
            assert storage[key].cache_key == key
            assert storage[key].content == make_response(1).content
            assert redirects[key] == 'target'
            redirects['points there'] = key
            assert redirects['points there'] == key
            assert storage.bulk_delete([key]) == 1
            del redirects[key]
            assert key not in storage
            assert key not in redirects
            assert list(storage) == ['other']
            assert list(redirects) == ['points there']

    def test_similar_keys_are_different(self, redirects: Any) -> None:
        """Keys that differ in case, white space or normalization are different keys"""
        self.needs('any key')
        for one, other in CLOSE_KEYS:
            redirects[one] = 'one'
            assert other not in redirects
            redirects[other] = 'other'
            assert (redirects[one], redirects[other]) == ('one', 'other')
            del redirects[one]
            assert dict(redirects.items()) == {other: 'other'}
            del redirects[other]

    def test_bulk_delete(self, storage: Any) -> None:
        """`bulk_delete()` takes any iterable, also a view on this storage, and counts each removed entry once"""
        storage.update({str(i): make_response(i) for i in range(10)})
        assert storage.bulk_delete([]) == 0
        assert storage.bulk_delete(iter(())) == 0
        assert storage.bulk_delete(['missing']) == 0
        assert storage.bulk_delete(['1', '2', 'missing', '1', '1']) == 2
        assert storage.bulk_delete(str(i) for i in range(5)) == 3
        assert sorted(storage) == ['5', '6', '7', '8', '9']
        assert storage.bulk_delete(storage.keys()) == 5
        assert len(storage) == 0

    def test_many_entries(self, redirects: Any) -> None:
        """More entries than a page or batch holds are listed, scanned, deleted and cleared"""
        entries = {f'key {i}': str(i) for i in range(self.many)}
        self.fill(redirects, entries)
        assert len(redirects) == self.many
        assert dict(redirects.items()) == dict(redirects.scan()) == entries
        assert sorted(redirects) == sorted(entries)
        doomed = [k for i, k in enumerate(entries) if i % 10]
        assert redirects.bulk_delete(k for k in [*doomed, *doomed]) == len(doomed)
        assert sorted(redirects) == sorted(set(entries) - set(doomed))
        redirects.clear()
        assert len(redirects) == 0

    def test_writes_while_iterating(self, redirects: Any) -> None:
        """Each key that is there all the time is seen once, whatever is written and deleted meanwhile"""
        self.needs('writing while iterating')
        assert redirects.iteration_tolerates_writes
        entries = {f'key {i}': str(i) for i in range(self.many)}
        self.fill(redirects, entries)
        seen = []
        for number, key in enumerate(redirects):
            seen.append(key)
            if number % 37 == 0:
                redirects[key] = 'changed'
            if number % 37 == 1:
                redirects[f'added {number}'] = 'added'
            if number % 37 == 2:
                del redirects[key]
        assert len(seen) == len(set(seen))
        assert set(seen) >= set(entries)
        assert all(redirects[k] == 'changed' for k in seen[::37] if k in entries)

    def test_rewriting_while_scanning_ends(self, storage: Any) -> None:
        """An entry that is written anew while all are scanned is not seen again"""
        self.needs('writing while iterating')
        storage.update({str(i): make_response(i, expires=PAST) for i in range(50)})
        seen = []
        for key, response in storage.scan():
            seen.append(key)
            storage[key] = make_response(1, expires=PAST + timedelta(days=len(seen)), url=response.url)
        assert sorted(seen, key=int) == [str(i) for i in range(50)]
        assert len(storage) == 50

    def test_round_trips(self, storage: Any, redirects: Any) -> None:
        """Any body, reason, status and key are read as they were written"""

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            key=KEYS if self.has('any key') else DIGESTS,
            content=st.binary(max_size=200),
            text=st.text(max_size=40),
            status=st.integers(100, 599),
        )
        def check(key: str, content: bytes, text: str, status: int) -> None:
            response = make_response(content=content, reason=text, status_code=status)
            storage[key] = response
            redirects[key] = text
            assert facts(storage[key]) == facts(response)
            assert redirects[key] == text

        check()

    def test_behaves_like_a_dict(self, redirects: Any) -> None:
        """Any sequence of operations has the results that it has with a dict"""
        keys, others = st.sampled_from(['a', 'b', 'A', '\ud800', "'"]), st.text(max_size=3)
        if not self.has('any key'):
            keys = others = st.sampled_from(['a', 'b', 'c'])
        step = st.tuples(st.sampled_from(_STEPS), keys, others)

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(steps=st.lists(step, max_size=25))
        def check(steps: list[tuple[Callable[..., Any], str, str]]) -> None:
            redirects.clear()
            model: dict[str, str] = {}
            for do, key, value in steps:
                assert _result(do, redirects, key, value) == _result(do, model, key, value)
                assert dict(redirects.items()) == model
                assert len(redirects) == len(model)

        check()


_STEPS: list[Callable[..., Any]] = [
    lambda m, k, v: m.__setitem__(k, v),
    lambda m, k, v: m.__delitem__(k),
    lambda m, k, v: m[k],
    lambda m, k, v: k in m,
    lambda m, k, v: m.get(k, v),
    lambda m, k, v: m.pop(k, v),
    lambda m, k, v: m.pop(k),
    lambda m, k, v: m.setdefault(k, v),
    lambda m, k, v: m.update({k: v, v: k}),
    lambda m, k, v: m.clear(),
    lambda m, k, v: sorted(m),
]


def _result(do: Callable[..., Any], mapping: Any, key: str, value: str) -> Any:
    try:
        return do(mapping, key, value)
    except KeyError:
        return KeyError
