"""Replacing the content of GridFS files atomically

An entry is a GridFS file as older versions write it: a document in `fs.files` with `_id` = key, and its content in
chunks in `fs.chunks` with `files_id` = key. There is only room for one content, and chunks cannot be replaced
atomically. So each content has a revision, which is in the `metadata` of the file and in its chunks. These are the
steps of writing:

    1. Write the chunks with `files_id` = revision, where no reader looks for them.
    2. Write the file document. Until this step, readers get the old content, and after it the new one.
    3. Delete the chunks of the old content, and set `files_id` = key in the new ones.

Readers look for chunks by revision, with both values of `files_id`. If they find none, the content was replaced, and
they start again. Older versions can read an entry after step 3; between 2 and 3 it is a miss for them. An interrupted
writer leaves chunks without a file behind, which do no harm but use space until `clear()`.

If an entry has a large body in a separate collection, its content is in its `metadata`, as `record`. Older versions
find no chunks then, so it is a miss for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from logging import getLogger
from typing import TYPE_CHECKING, Any

from ...exceptions import BackendError
from ...keys.shown import shown_error
from ...policy.expiration import utcnow
from ..storage import ChangedError
from .connection import MongoConnection, patience
from .storage import ANY

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Document = dict[str, Any]
    # Data by revision (or key, in files without one) and number
    Parts = dict[tuple[Any, int], bytes]

logger = getLogger(__name__)

CHUNK_BYTES = 255 * 1024
# How often a reader starts again because the content was replaced
MAX_READS = 100
# After this time, chunks without a file were left behind by an interrupted writer
ABANDONED_AFTER = timedelta(hours=1)
# Fields that are needed when a file is deleted or replaced
BODY_ID = 'body_id'
NEEDED = {'metadata.revision': 1, f'metadata.{BODY_ID}': 1, 'length': 1, 'uploadDate': 1, 'md5': 1}
# Timeout for a search without an index, as the bucket may contain many files of other programs
SEARCH_SECONDS = 60


class Files:
    """The files of the bucket `fs`

    Args:
        mongo: Connection
        db_name: Name of the database
    """

    def __init__(self, mongo: MongoConnection, db_name: str):
        self._mongo = mongo
        self._db_name = db_name
        self._is_indexed = False

    @property
    def files(self) -> Collection[Document]:
        return self._mongo.collection(self._db_name, 'fs.files')

    @property
    def chunks(self) -> Collection[Document]:
        return self._mongo.collection(self._db_name, 'fs.chunks')

    def read(self, file_id: Any) -> tuple[Document, bytes | None] | None:
        """A file and its content; the content is None if it is damaged; returns None if the file does not exist"""
        file: Document = {}
        parts: Parts = {}
        for _ in range(MAX_READS):
            with self._mongo.calling('read from it'):
                found = self.files.find_one({'_id': file_id})
            if found is None:
                return None
            is_same = found == file
            file = found
            # Chunks that are being moved may be missed once, but not twice
            if _record(file) is None:
                parts = {**(parts if is_same else {}), **self._read_parts([file])}
            content = _join(file, parts)
            if content is not None or is_same:
                return file, content
        raise BackendError(f'Could not read the entry: it was replaced during each of {MAX_READS} attempts')

    def read_all(self, files: list[Document]) -> Iterator[tuple[Document, bytes | None]]:
        """Files and their contents, None for a damaged content; files that no longer exist are left out"""
        in_chunks = [file for file in files if _record(file) is None]
        parts = self._read_parts(in_chunks) if in_chunks else {}
        for file in files:
            content = _join(file, parts)
            found = (file, content) if content is not None else self.read(file['_id'])
            if found is not None:
                yield found

    def _read_parts(self, files: list[Document]) -> Parts:
        cursor = self.chunks.find(_chunks_of(files), {'_id': 0, 'files_id': 1, 'n': 1, 'data': 1, 'revision': 1})
        chunks = self._mongo.each(cursor, 'read from it')
        return {(c.get('revision') or c['files_id'], c['n']): c['data'] for c in chunks if 'n' in c and 'data' in c}

    def write(
        self, file_id: Any, content: bytes, encoding: str | None, metadata: Document, found: Document | None = ANY
    ) -> Document | None:
        """Create or replace a file

        Args:
            file_id: Its `_id`
            content: Its content
            encoding: The encoding, if it is text
            metadata: Its metadata; if this contains the id of a body, the content is stored there too
            found: The file that is expected to exist; None if there should be none

        Returns:
            The file that was replaced

        Raises:
            ChangedError: The existing file is not the expected one
        """
        from bson.objectid import ObjectId

        revision, has_body = ObjectId(), BODY_ID in metadata
        file = {
            'encoding': encoding,
            # With a length of 0, older versions would not look for chunks, and would read an empty content
            'length': max(len(content), 1) if has_body else len(content),
            'chunkSize': CHUNK_BYTES,
            'uploadDate': utcnow(),
            'metadata': {**metadata, 'revision': revision, **({'record': content} if has_body else {})},
        }
        with self._mongo.calling('write to it'):
            self._create_indexes()
            if content and not has_body:
                self.chunks.insert_many(_split(content, revision))
            try:
                previous = self._switch(file_id, file, found)
            except ChangedError:
                self.chunks.delete_many({'files_id': revision})
                raise
        try:
            with self._mongo.calling('delete the replaced chunks'):
                if previous is not None:
                    self.chunks.delete_many(_chunks_of([previous]))
                if not has_body:
                    self._move_chunks(file_id, revision)
        except BackendError as e:  # the file has been written nevertheless
            logger.debug('Could not delete replaced chunks: %s', shown_error(e))
        return previous

    def _create_indexes(self) -> None:
        if not self._is_indexed:
            self.chunks.create_index([('files_id', 1), ('n', 1)], unique=True)
            self.files.create_index([('filename', 1), ('uploadDate', 1)])
            self._is_indexed = True

    def _switch(self, file_id: Any, file: Document, found: Document | None) -> Document | None:
        """Write a file document, if the existing one is as expected; returns the replaced one"""
        from pymongo.errors import DuplicateKeyError

        one = {'_id': file_id}
        if found is ANY:
            with suppress(DuplicateKeyError):  # another writer inserted it at the same time
                return self.files.find_one_and_replace(one, file, upsert=True)
            return self.files.find_one_and_replace(one, file, upsert=True)
        if found is None:
            try:
                self.files.insert_one({**one, **file})
            except DuplicateKeyError as e:
                raise ChangedError from e
        elif not self.files.replace_one({**one, **_version(found)}, file).matched_count:
            raise ChangedError
        return found

    def _move_chunks(self, file_id: Any, revision: Any) -> None:
        """Set the final `files_id` of the chunks of a content"""
        from pymongo.errors import OperationFailure

        move = {'files_id': revision}, {'$set': {'files_id': file_id}}
        try:
            self.chunks.update_many(*move)
        except OperationFailure:  # there are chunks of an interrupted writer, or old ones that are just being deleted
            self._delete_old_chunks(file_id)
            self.chunks.update_many(*move)
        if self.files.find_one({'_id': file_id, 'metadata.revision': revision}, {'_id': 1}) is None:
            # The writer that replaced or deleted the file may have missed the chunks that were being moved
            self.chunks.delete_many(_chunks_of([{'_id': file_id, 'metadata': {'revision': revision}}]))

    def _delete_old_chunks(self, file_id: Any) -> None:
        """Delete chunks that do not belong to the current content

        The order of the two queries matters. Chunks get this `files_id` only after their file was written, and that
        file never returns once it is replaced. So a revision that was seen in chunks before, and is not the current one
        afterwards, is obsolete.
        """
        seen = {chunk.get('revision') for chunk in self.chunks.find({'files_id': file_id}, {'revision': 1})}
        current = _revision(self.files.find_one({'_id': file_id}) or {})
        self.chunks.delete_many({'files_id': file_id, 'revision': {'$in': list(seen - {current})}})

    def find(self, file_ids: list[Any], columns: Document) -> list[Document]:
        """Some columns of the files that exist"""
        query = {'_id': {'$in': file_ids} if len(file_ids) > 1 else file_ids[0]}
        return list(self._mongo.each(self.files.find(query, columns), 'read from it'))

    def delete(self, files: list[Document]) -> int:
        """Delete files, except those that were replaced meanwhile; returns the number of deleted files"""
        from pymongo import DeleteMany, DeleteOne

        if not files:
            return 0
        contents = [{'_id': file['_id'], 'metadata.revision': _revision(file)} for file in files]
        with self._mongo.calling('delete from it'):
            removed = self.files.bulk_write([DeleteOne(c) for c in contents], ordered=False).deleted_count
            self.chunks.bulk_write([DeleteMany(_chunks_of([file])) for file in files], ordered=False)
        return removed

    def delete_abandoned(self) -> None:
        """Delete chunks that interrupted writers left behind; must be called after all old files were deleted"""
        from bson.objectid import ObjectId

        with self._mongo.calling('delete from it'), patience(SEARCH_SECONDS):
            limit = ObjectId.from_datetime(utcnow() - ABANDONED_AFTER)
            self.chunks.delete_many({'revision': {'$lt': limit}})


def _metadata(file: Document, name: str) -> Any:
    metadata = file.get('metadata')
    return metadata.get(name) if isinstance(metadata, dict) else None


def _revision(file: Document) -> Any:
    return _metadata(file, 'revision')


def _record(file: Document) -> bytes | None:
    """The content of a file with a large body"""
    record = _metadata(file, 'record')
    return record if isinstance(record, bytes) and isinstance(_metadata(file, BODY_ID), str) else None


def _version(file: Document) -> Document:
    """A query for this version of a file; files of older versions have no revision, and times in milliseconds"""
    values = {name: file.get(name) for name in ('length', 'uploadDate', 'md5')}
    return {'metadata.revision': _revision(file), **({} if _revision(file) else values)}


def _chunks_of(files: list[Document]) -> Document:
    """A query for the chunks of files, with both values of `files_id`; chunks of older versions have no revision"""
    revisions = [_revision(file) for file in files]
    file_ids = [file['_id'] for file in files] + [r for r in revisions if r is not None]
    return {'files_id': {'$in': file_ids}, 'revision': {'$in': revisions}}


def _split(content: bytes, revision: Any) -> Iterator[Document]:
    view = memoryview(content)
    for n, start in enumerate(range(0, len(content), CHUNK_BYTES)):
        data = bytes(view[start : start + CHUNK_BYTES])
        yield {'files_id': revision, 'n': n, 'data': data, 'revision': revision}


def _join(file: Document, parts: Parts) -> bytes | None:
    """The content of a file, or None if some of it is missing"""
    record = _record(file)
    if record is not None:
        return record
    try:
        owner, count = _revision(file) or file['_id'], -(-file['length'] // file['chunkSize'])
        content = b''.join(parts[owner, n] for n in range(count))
    except (ArithmeticError, LookupError, TypeError):
        return None
    return content if len(content) == file['length'] else None
