"""What is in the buckets of a cache: files, their contents, and what writers leave behind"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from bson.objectid import ObjectId
from gridfs import GridFS

from requests_cache.backends.gridfs import GridFSCache, GridFSDict
from requests_cache.backends.mongodb import gridfs_files
from requests_cache.exceptions import BackendError
from requests_cache.testing.values import FUTURE, make_response

pytest_plugins = ['support.mongodb_fixtures']

LARGE = b'0123456789abcdef' * (1 << 16)


class TestGridFS:
    def test_a_response_is_a_file(self, gridfs_cache: GridFSCache, mongodb_database: Any) -> None:
        gridfs_cache.save_response(make_response(1), 'key', FUTURE)
        gridfs_cache.redirects['from'] = 'key'
        for _ in range(2):
            content = GridFS(mongodb_database).get('key').read()
            assert pickle.loads(content)['status_code'] == 200
            assert mongodb_database['fs.chunks'].find_one()['files_id'] == 'key'
            gridfs_cache.save_response(make_response(2), 'key', FUTURE)
        assert list(mongodb_database.redirects.find()) == [{'_id': 'from', 'data': 'key'}]

    def test_text_of_another_serializer(self, make_mongodb: Any, mongodb_database: Any) -> None:
        cache = make_mongodb(GridFSCache, serializer='json')
        cache.responses['key'] = make_response(1)
        file = GridFS(mongodb_database).get('key')
        assert file.encoding == 'utf-8'
        assert json.loads(file.read())['status_code'] == 200

    def test_bodies_of_any_size(self, make_mongodb: Any, mongodb_database: Any) -> None:
        """Also in files, if they are to be there"""
        gridfs_cache = make_mongodb(GridFSCache, large_body_bytes=1 << 30)
        large = make_response(1, content=LARGE * 20)
        gridfs_cache.responses['key'] = large
        gridfs_cache.responses['small'] = make_response(2)
        assert gridfs_cache.responses['key'].content == LARGE * 20
        assert {k: len(v.content) for k, v in gridfs_cache.responses.scan()} == {
            'key': len(LARGE) * 20,
            'small': len(make_response(2).content),
        }
        assert len(GridFS(mongodb_database).get('key').read()) > len(LARGE) * 20
        gridfs_cache.responses['key'] = make_response(3)
        assert mongodb_database['fs.chunks'].count_documents({}) == 2
        gridfs_cache.clear()
        assert mongodb_database['fs.chunks'].count_documents({}) == 0

    def test_values_that_are_no_responses(self, make_mongodb: Any) -> None:
        storage = make_mongodb(GridFSDict, serializer=None)
        for value in (b'', b'bytes', 'text', '', 'ключ', '\ud800'):
            storage['key'] = value
            assert storage['key'] == value
        with pytest.raises(BackendError, match='bytes or text'):
            storage['key'] = {'a': 1}
        assert storage['key'] == '\ud800'

    def test_replacing_leaves_no_moment_without_an_entry(
        self, make_mongodb: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Look at the entry between all steps of a writer"""
        writer, reader = make_mongodb(GridFSDict), make_mongodb(GridFSDict)
        contents = [bytes([i]) * (600_000 + i) for i in range(3)]
        writer['key'] = make_response(content=contents[0])
        seen: list[bytes] = []

        def look() -> None:
            seen.append(reader['key'].content)
            assert [r.content for r in reader.values()] == [seen[-1]]
            assert 'key' in reader

        calling = type(writer._mongo).calling
        watched = _Watched(writer._files, look)
        monkeypatch.setattr(writer, '_files', watched)
        writer['key'] = make_response(content=contents[1])
        writer['key'] = make_response(content=contents[2])
        assert type(writer._mongo).calling is calling
        assert len(seen) >= 10
        assert sorted(set(seen)) == contents
        assert seen == sorted(seen)

    def test_replacing_while_others_read(self, make_mongodb: Any) -> None:
        contents = [bytes([i]) * (300_000 * i + 5) for i in range(4)]
        reader, writer = make_mongodb(GridFSDict), make_mongodb(GridFSDict)
        writer['key'] = make_response(content=contents[0])
        done = Event()

        def write() -> None:
            try:
                for i in range(60):
                    writer['key'] = make_response(content=contents[i % 4])
            finally:
                done.set()

        thread = Thread(target=write)
        thread.start()
        try:
            while not done.is_set():
                assert reader['key'].content in contents
        finally:
            thread.join()
        assert reader['key'].content == contents[3]

    @pytest.mark.parametrize('size', [10, 600_000])
    def test_what_a_stopped_writer_leaves_is_no_entry(
        self, size: int, make_mongodb: Any, mongodb_database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A writer stops before each of its steps in turn: the entry is the old or the new one, and can be written"""
        chunks = mongodb_database['fs.chunks']
        contents = [b'a' * size, b'b' * (size + 1), b'c' * (size + 2)]
        for step in range(1, 20):
            storage = make_mongodb(GridFSDict)
            storage['key'] = make_response(content=contents[0])
            stopping = make_mongodb(GridFSDict)
            stopping._files = _Watched(stopping._files, _Stop(step))
            try:
                stopping['key'] = make_response(content=contents[1])
            except KeyboardInterrupt:
                pass
            else:
                assert step > 4
                break
            assert storage['key'].content in contents[:2]
            assert len(storage) == 1
            storage['key'] = make_response(content=contents[2])
            assert storage['key'].content == contents[2]
            assert pickle.loads(GridFS(mongodb_database).get('key').read())['_content'] == contents[2]
            monkeypatch.setattr(gridfs_files, 'ABANDONED_AFTER', timedelta(hours=-1))
            storage.clear()
            assert chunks.count_documents({}) == 0
        else:
            pytest.fail('the writer never came to its end')

    def test_a_damaged_file(self, gridfs_cache: GridFSCache, mongodb_database: Any) -> None:
        for damage in (
            lambda files, chunks: chunks.delete_one({'files_id': 'key', 'n': 1}),
            lambda files, chunks: chunks.delete_many({'files_id': 'key'}),
            lambda files, chunks: chunks.update_one({'files_id': 'key', 'n': 1}, {'$set': {'data': b'short'}}),
            lambda files, chunks: files.update_one({'_id': 'key'}, {'$set': {'length': 5}}),
            lambda files, chunks: files.update_one({'_id': 'key'}, {'$set': {'chunkSize': 0}}),
            lambda files, chunks: files.update_one({'_id': 'key'}, {'$unset': {'length': ''}}),
            lambda files, chunks: files.replace_one({'_id': 'key'}, {'metadata': 'theirs'}),
        ):
            gridfs_cache.responses['key'] = make_response(1, content=LARGE)
            gridfs_cache.responses['other'] = make_response(2)
            damage(mongodb_database['fs.files'], mongodb_database['fs.chunks'])
            with pytest.raises(KeyError):
                gridfs_cache.responses['key']
            assert gridfs_cache.get_response('key') is None
            assert gridfs_cache.contains('key')
            assert {k: v is None for k, v in gridfs_cache.responses.scan()} == {'key': True, 'other': False}
            gridfs_cache.responses['key'] = make_response(3)
            assert gridfs_cache.responses['key'].content == make_response(3).content
            damage(mongodb_database['fs.files'], mongodb_database['fs.chunks'])
            if gridfs_cache.get_response('key') is None:
                assert gridfs_cache.delete(invalid=True) == 1
            gridfs_cache.clear()

    def test_files_of_others_stay(self, gridfs_cache: GridFSCache, mongodb_database: Any) -> None:
        bucket = GridFS(mongodb_database)
        file_id = bucket.put(LARGE, filename='theirs', metadata={'revision': 'theirs'})
        assert isinstance(file_id, ObjectId)
        gridfs_cache.responses['key'] = make_response(1)
        assert list(gridfs_cache.responses) == ['key']
        assert len(gridfs_cache.responses) == 1
        gridfs_cache.delete(expired=True, invalid=True, older_than=1)
        gridfs_cache.clear()
        assert bucket.get(file_id).read() == LARGE

    def test_driver_objects(self, gridfs_cache: GridFSCache, mongodb_name: str) -> None:
        gridfs_cache.responses['key'] = make_response(1)
        assert gridfs_cache.responses.fs.exists('key')
        assert gridfs_cache.responses.db.name == mongodb_name


class _Watched:
    """Files, with a call before each operation on a collection of theirs"""

    def __init__(self, files: Any, look: Callable[[], None]):
        self.__class__ = type('Watched', (type(files),), {
            'files': property(lambda self: _WatchedCollection(files.files, look)),
            'chunks': property(lambda self: _WatchedCollection(files.chunks, look)),
        })  # fmt: skip
        self.__dict__.update(files.__dict__)


class _WatchedCollection:
    def __init__(self, collection: Any, look: Callable[[], None]):
        self.collection, self.look = collection, look

    def __getattr__(self, mongodb_name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.look()
            return getattr(self.collection, mongodb_name)(*args, **kwargs)

        return call


class _Stop:
    """Ends a writer, as a signal would, before its nth step"""

    def __init__(self, step: int):
        self.left = step

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
