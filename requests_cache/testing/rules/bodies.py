"""What a storage must do with large bodies

`storage.pieces` says where the bodies are (`backends.bodies.Pieces`). Its method `unused()` gives those that no entry
refers to. A body that was read can be read further as long as its pieces are there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from requests.exceptions import ChunkedEncodingError

from ...backends import bodies
from ...exceptions import BackendError
from ...models.body import BodyLostError
from ..values import FUTURE, LARGE, PAST, facts, large, make_response
from .base import Contract


class LargeBodyRules(Contract):
    """Bodies beyond `large_body_bytes` are kept in pieces, and read as they are needed"""

    @pytest.fixture
    def large_storage(self, storage_factory: Callable[..., Any]) -> Any:
        return self.in_pieces(storage_factory(large_body_bytes=1_000))

    def test_a_large_body_is_read_in_pieces(
        self, serializer: Any, storage_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A large body can be read in parts or as a whole, and its response is as it was written"""
        options = {} if serializer is None else {'serializer': serializer}
        storage = self.in_pieces(storage_factory(large_body_bytes=1_000, **options))
        storage['key'] = large(1)
        read = storage['key']
        assert read._is_body_unread
        assert read.raw.read(10) == large(1).content[:10]
        assert b''.join(storage['key'].iter_content(7)) == large(1).content
        assert storage['key'].content == large(1).content
        assert storage['key'].size == LARGE
        assert facts(storage['key']) == facts(large(1))

    @pytest.mark.parametrize('length', [1_000, 1_001, 1_499, 1_500, 1_501, 2_000])
    def test_lengths_about_the_limits(self, large_storage: Any, length: int) -> None:
        """Bodies that are about as long as the limit, or as some pieces, are whole"""
        large_storage['key'] = large(1, length)
        read = large_storage['key']
        assert read._is_body_unread == (length > large_storage._longest_content)
        assert read.content == large(1, length).content

    def test_part_of_a_body_takes_its_pieces_only(self, large_storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """To read a range of a body, no other pieces are read"""
        large_storage['key'] = large(1)
        asked: list[int] = []
        read = type(large_storage.pieces).read

        def counted(self: Any, key: str, body_id: str, index: int) -> Any:
            asked.append(index)
            return read(self, key, body_id, index)

        monkeypatch.setattr(type(large_storage.pieces), 'read', counted)
        assert large_storage['key']._body.part(700, 1_200).read() == large(1).content[700:1_201]
        assert asked == [1, 2]

    def test_an_entry_without_a_body_in_pieces_is_small(self, large_storage: Any) -> None:
        """A short body may take the place of a long one"""
        large_storage['key'] = large(1)
        large_storage['key'] = make_response(2)
        assert facts(large_storage['key']) == facts(make_response(2))

    def test_all_that_is_done_with_entries(self, large_storage: Any) -> None:
        """Entries with large bodies are listed, counted, scanned and deleted as others are"""
        large_storage['large'] = large(1)
        large_storage['small'] = make_response(2)
        large_storage['another'] = large(3)
        assert set(large_storage) == {'large', 'small', 'another'}
        assert len(large_storage) == 3
        assert 'large' in large_storage
        assert large_storage.existing(['large', 'none']) == {'large'}
        contents = {key: value.content for key, value in large_storage.scan()}
        assert contents == {'large': large(1).content, 'small': make_response(2).content, 'another': large(3).content}
        assert large_storage.bulk_delete(['large', 'none']) == 1
        del large_storage['another']
        for key in ('large', 'another'):
            assert key not in large_storage
            with pytest.raises(KeyError):
                large_storage[key]
        assert list(large_storage) == ['small']

    @pytest.mark.parametrize('way', ['del', 'bulk_delete', 'clear', 'replace', 'replace by a large one'])
    def test_a_body_goes_with_its_entry(self, large_storage: Any, way: str) -> None:
        """Whoever reads it then gets all of it, or meets the error of a connection that breaks"""
        large_storage['key'] = large(1)
        read = large_storage['key']
        first = read.raw.read(10)
        remove: dict[str, Callable[[], Any]] = {
            'del': lambda: large_storage.__delitem__('key'),
            'bulk_delete': lambda: large_storage.bulk_delete(['key', 'other']),
            'clear': large_storage.clear,
            'replace': lambda: large_storage.__setitem__('key', make_response(2)),
            'replace by a large one': lambda: large_storage.__setitem__('key', large(2)),
        }
        remove[way]()
        assert first == large(1).content[:10]
        try:
            content = read.content
        except ChunkedEncodingError:
            content = large(1).content
        assert content == large(1).content
        assert not list(large_storage.pieces.unused())
        if 'replace' not in way:
            assert 'key' not in large_storage
        elif way == 'replace':
            assert large_storage['key'].content == make_response(2).content
        else:
            assert large_storage['key'].content == large(2).content

    def test_new_header_fields_leave_the_body_where_it_is(self, large_storage: Any) -> None:
        """If only header fields change, the body is not written again"""
        large_storage['key'] = large(1)
        read = large_storage['key']
        body_id = read._body.id
        read.headers['X'] = 'new'
        read.expires = FUTURE
        large_storage['key'] = read
        again = large_storage['key']
        assert (again._body.id, again.headers['X'], again.expires) == (body_id, 'new', FUTURE)
        assert again.content == large(1).content

    def test_under_another_key_it_is_another_body(self, large_storage: Any) -> None:
        """A body that is copied to another key does not depend on the first one"""
        large_storage['key'] = large(1)
        large_storage['other'] = large_storage['key']
        del large_storage['key']
        assert large_storage['other'].content == large(1).content

    def test_copied_to_and_from_other_storages(
        self, large_storage: Any, storage_factory: Callable[..., Any], cache_factory: Callable[..., Any]
    ) -> None:
        """Entries can be copied between storages with pieces of other lengths"""
        from ...backends.memory import DictStorage

        memory: Any = DictStorage(large_body_bytes=100)
        memory.pieces.piece_bytes = 70
        large_storage['key'] = large(1)
        memory['key'] = large_storage['key']
        large_storage.clear()
        assert memory['key']._is_body_unread
        large_storage['key'] = memory['key']
        memory.clear()
        assert large_storage['key'].content == large(1).content

    # Writing

    def test_written_bit_by_bit(self, large_storage: Any) -> None:
        """A body can be written while it arrives, and there is no entry before it is whole"""
        content = os.urandom(LARGE)
        writer = large_storage.body_writer('key')
        for start in range(0, LARGE, 333):
            writer.write(content[start : start + 333])
            assert 'key' not in large_storage
        response = make_response(1)._with_body(writer.commit())
        large_storage['key'] = response
        assert large_storage['key'].content == content

    def test_a_short_body_is_given_back(self, large_storage: Any) -> None:
        """A body that turns out to be short becomes a part of its entry"""
        writer = large_storage.body_writer('key')
        writer.write(b'some ')
        writer.write(b'bytes')
        assert writer.content() == b'some bytes'
        assert writer.commit() == b'some bytes'
        assert not list(large_storage.pieces.unused())

    def test_nothing_is_left_of_what_was_given_up(self, large_storage: Any) -> None:
        """If a writer gives up, its pieces are removed, and the old entry stays"""
        large_storage['key'] = large(1)
        writer = large_storage.body_writer('key')
        writer.write(large(2).content)
        writer.abort()
        assert not list(large_storage.pieces.unused())
        assert large_storage['key'].content == large(1).content

    def test_an_entry_that_cannot_be_written_leaves_nothing(
        self, large_storage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If an entry cannot be written, the pieces of its body are removed"""

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise ValueError('cannot be serialized')

        with monkeypatch.context() as patch:
            patch.setattr(large_storage, 'serialize', fail)
            with pytest.raises(ValueError, match='cannot be'):
                large_storage['key'] = large(1)
        assert 'key' not in large_storage
        assert not list(large_storage.pieces.unused())

    def test_leftovers_are_removed(
        self, large_storage: Any, storage_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pieces whose writer does not exist any more are removed; those of a writer at work stay"""
        large_storage['kept'] = large(1)
        writers = {name: large_storage.body_writer(name) for name in ('alive', 'kept')}
        with monkeypatch.context() as patch:
            patch.setattr(bodies, 'time', lambda: 1_000.0)
            writers['dead'] = large_storage.body_writer('dead')
            writers['dead'].write(large(2).content)
        for name in ('alive', 'kept'):
            writers[name].write(large(3).content)
        other = large_storage
        if self.has('persistence', 'sharing'):
            other = self.in_pieces(storage_factory(large_body_bytes=1_000))
        other.remove_leftovers()
        assert 'dead' not in {key for key, _ in other.pieces.unused()}
        assert other['kept'].content == large(1).content
        for name in ('alive', 'kept'):
            written = make_response(3)._with_body(writers[name].commit())
            large_storage[name] = written
            assert large_storage[name].content == large(3).content

    def test_a_body_that_was_cleared_meanwhile_makes_no_entry(self, large_storage: Any) -> None:
        """If all is cleared while a body is written, there is no entry without a body"""
        writer = large_storage.body_writer('key')
        writer.write(large(1).content)
        large_storage.clear()
        try:
            large_storage['key'] = make_response(1)._with_body(writer.commit())
        except (BackendError, BodyLostError):
            assert 'key' not in large_storage
        else:  # it was not, and is whole
            assert large_storage['key'].content == large(1).content

    def test_damage_is_noticed(self, large_storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A piece that was changed makes reading fail, as a connection that breaks does"""
        large_storage['key'] = large(1)
        read = type(large_storage.pieces).read

        def damaged(self: Any, key: str, body_id: str, index: int) -> bytes | None:
            piece: bytes = read(self, key, body_id, index)
            assert piece is not None
            return piece if index != 2 else piece[:-1] + bytes([piece[-1] ^ 1])

        monkeypatch.setattr(type(large_storage.pieces), 'read', damaged)
        with pytest.raises(ChunkedEncodingError):
            _ = large_storage['key'].content
        with pytest.raises(ChunkedEncodingError):
            list(large_storage['key'].iter_content(100))

    def test_pieces_that_change_places_are_noticed(self, large_storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """So do pieces that have changed places"""
        large_storage['key'] = large(1)
        read = type(large_storage.pieces).read
        monkeypatch.setattr(
            type(large_storage.pieces),
            'read',
            lambda self, key, body_id, index: read(self, key, body_id, index ^ 1),
        )
        with pytest.raises(ChunkedEncodingError):
            _ = large_storage['key'].content

    # Caches

    def test_methods_of_caches(self, cache_factory: Callable[..., Any]) -> None:
        """What caches do with entries, they do with those that have large bodies"""
        cache = cache_factory(large_body_bytes=1_000)
        self.in_pieces(cache.responses)
        cache.save_response(large(1), 'old', PAST)
        cache.save_response(large(2), 'new', FUTURE)
        assert sorted(r.content for r in cache.filter()) == [large(1).content, large(2).content]
        assert [r.content for r in cache.filter(valid=False, expired=True)] == [large(1).content]
        assert cache.contains('new')
        cache.reset_expiration(FUTURE)
        assert cache.get_response('old').content == large(1).content
        assert not cache.get_response('old').is_expired
        cache.reset_expiration(PAST)
        assert cache.delete(expired=True) == 2
        assert not list(cache.responses.pieces.unused())

    def test_copying_all_but_what_was_lost(self, cache_factory: Callable[..., Any]) -> None:
        """`update()` leaves out entries whose bodies are gone, and copies all others"""
        from ...backends.base import BaseCache

        cache, source = cache_factory(large_body_bytes=1_000), BaseCache()
        source.responses.large_body_bytes = 100  # type: ignore[attr-defined]
        for number in range(3):
            source.save_response(large(number), f'key {number}')
        lost = source.responses['key 1']._body
        source.responses.pieces._all[lost.id].clear()  # type: ignore[attr-defined, union-attr]
        cache.update(source)
        assert {key: response.content for key, response in cache.responses.items()} == {
            'key 0': large(0).content,
            'key 2': large(2).content,
        }
