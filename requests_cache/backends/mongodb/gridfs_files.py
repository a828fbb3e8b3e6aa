"""Files in GridFS whose content is replaced in one step

An entry is a file of GridFS as earlier versions write it: a document in `fs.files` with `_id` = key, and its content in
pieces in `fs.chunks` with `files_id` = key. Only one content fits there, and it cannot be replaced in one step. So each
content has a revision, which stands in its file's `metadata` and in its chunks, and is written like this:

    1. the chunks, with `files_id` = revision, where nobody looks for them
    2. the file, in one step: readers get the new content from now on, and got the old one until now
    3. the chunks of the old content are deleted, and the new ones move to `files_id` = key

Readers look for chunks by revision, in both places; a content that is gone by then was replaced, and they begin again.
Earlier versions read what has come to rest after step 3; between 2 and 3 they have a miss. A writer that is stopped on
its way leaves chunks without a file: they take space until `clear()`, are no entry, and are in nobody's way.

The content of an entry with a large body beside it is in its `metadata`, as `record`. Earlier versions find no chunks
then, and have a miss.
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
# How often a reader begins again; each time, another content has been written meanwhile
MAX_READS = 100
# When chunks without a file are not on their way to one any more
ABANDONED_AFTER = timedelta(hours=1)
# What is to be known of a file that is deleted or replaced
BODY_ID = 'body_id'
NEEDED = {'metadata.revision': 1, f'metadata.{BODY_ID}': 1, 'length': 1, 'uploadDate': 1, 'md5': 1}
# For a search without an index, where the bucket holds files of others
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
        """A file and its content, None if that is damaged; None if there is no such file"""
        file: Document = {}
        parts: Parts = {}
        for _ in range(MAX_READS):
            with self._mongo.calling('read from it'):
                found = self.files.find_one({'_id': file_id})
            if found is None:
                return None
            is_same = found == file
            file = found
            # Chunks that move meanwhile may be missed once, but not twice
            if _record(file) is None:
                parts = {**(parts if is_same else {}), **self._read_parts([file])}
            content = _join(file, parts)
            if content is not None or is_same:
                return file, content
        raise BackendError('The entry was replaced each time that it was being read')

    def read_all(self, files: list[Document]) -> Iterator[tuple[Document, bytes | None]]:
        """Files and their contents, None for a content that is damaged; without those that are gone by now"""
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
        """Write a file, new or instead of the one that is there

        Args:
            file_id: Its `_id`
            content: Its content
            encoding: The encoding, if it is text
            metadata: What is noted beside it; with the id of a body, the content is, too
            found: The file that is to be there, None if there is to be none

        Returns:
            The file that was replaced

        Raises:
            ChangedError: Something else is there
        """
        from bson.objectid import ObjectId

        revision, is_apart = ObjectId(), BODY_ID in metadata
        file = {
            'encoding': encoding,
            # With no bytes at all, earlier versions would not look for chunks
            'length': max(len(content), 1) if is_apart else len(content),
            'chunkSize': CHUNK_BYTES,
            'uploadDate': utcnow(),
            'metadata': {**metadata, 'revision': revision, **({'record': content} if is_apart else {})},
        }
        with self._mongo.calling('write to it'):
            self._create_indexes()
            if content and not is_apart:
                self.chunks.insert_many(_split(content, revision))
            try:
                previous = self._switch(file_id, file, found)
            except ChangedError:
                self.chunks.delete_many({'files_id': revision})
                raise
        try:
            with self._mongo.calling('tidy up'):
                if previous is not None:
                    self.chunks.delete_many(_chunks_of([previous]))
                if not is_apart:
                    self._settle(file_id, revision)
        except BackendError as e:  # the file is written nevertheless
            logger.debug('What was replaced is left behind: %s', shown_error(e))
        return previous

    def _create_indexes(self) -> None:
        if not self._is_indexed:
            self.chunks.create_index([('files_id', 1), ('n', 1)], unique=True)
            self.files.create_index([('filename', 1), ('uploadDate', 1)])
            self._is_indexed = True

    def _switch(self, file_id: Any, file: Document, found: Document | None) -> Document | None:
        """Put a file in place of what is to be there; returns what was there"""
        from pymongo.errors import DuplicateKeyError

        one = {'_id': file_id}
        if found is ANY:
            with suppress(DuplicateKeyError):  # somebody else inserted it at the same moment
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

    def _settle(self, file_id: Any, revision: Any) -> None:
        """Move the chunks of a content to their final place"""
        from pymongo.errors import OperationFailure

        move = {'files_id': revision}, {'$set': {'files_id': file_id}}
        try:
            self.chunks.update_many(*move)
        except OperationFailure:  # the place is taken by what a stopped writer left behind, or is just being freed
            self._sweep(file_id)
            self.chunks.update_many(*move)
        if self.files.find_one({'_id': file_id, 'metadata.revision': revision}, {'_id': 1}) is None:
            # Whoever replaced or deleted the file may have missed chunks on the move
            self.chunks.delete_many(_chunks_of([{'_id': file_id, 'metadata': {'revision': revision}}]))

    def _sweep(self, file_id: Any) -> None:
        """Delete chunks that do not belong to the present content

        The order matters: a content gets here only after its file was put in place, and never comes back once that was
        replaced. One that was seen here before, and is not the present one now, is gone for good.
        """
        seen = {chunk.get('revision') for chunk in self.chunks.find({'files_id': file_id}, {'revision': 1})}
        present = _revision(self.files.find_one({'_id': file_id}) or {})
        self.chunks.delete_many({'files_id': file_id, 'revision': {'$in': list(seen - {present})}})

    def named(self, file_ids: list[Any], columns: Document) -> list[Document]:
        """Some columns of those files that exist"""
        query = {'_id': {'$in': file_ids} if len(file_ids) > 1 else file_ids[0]}
        return list(self._mongo.each(self.files.find(query, columns), 'read from it'))

    def delete(self, files: list[Document]) -> int:
        """Delete files; returns their number. One that was replaced meanwhile stays."""
        from pymongo import DeleteMany, DeleteOne

        if not files:
            return 0
        contents = [{'_id': file['_id'], 'metadata.revision': _revision(file)} for file in files]
        with self._mongo.calling('delete from it'):
            removed = self.files.bulk_write([DeleteOne(c) for c in contents], ordered=False).deleted_count
            self.chunks.bulk_write([DeleteMany(_chunks_of([file])) for file in files], ordered=False)
        return removed

    def delete_abandoned(self) -> None:
        """Delete chunks that stopped writers left behind; to be called when there are no files but new ones"""
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
    """A query for a file as it is; those of earlier versions have no revision, and times in milliseconds"""
    values = {name: file.get(name) for name in ('length', 'uploadDate', 'md5')}
    return {'metadata.revision': _revision(file), **({} if _revision(file) else values)}


def _chunks_of(files: list[Document]) -> Document:
    """A query for the chunks of files, wherever they are; those of earlier versions have no revision"""
    revisions = [_revision(file) for file in files]
    places = [file['_id'] for file in files] + [r for r in revisions if r is not None]
    return {'files_id': {'$in': places}, 'revision': {'$in': revisions}}


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
