"""Sizes of entries, as they are counted for bounds

The size of an entry is the size of its documents in BSON, and an overhead for each document. The server compresses
documents, so it usually uses less disk space. The overhead is the key in the index on `_id`, and, according to the
documentation of WiredTiger, about 20 bytes in each index and 30 in the collection (for the record number, lengths, and
a share of the page). `collStats` shows the actual numbers of a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ids import from_id, to_id

if TYPE_CHECKING:
    Document = dict[str, Any]

# A document, its keys in two indexes, and the last use and the size in one of them
DOCUMENT_BYTES = 30 + 20 + 20 + 20
# A document without its data and its key, in a collection with two indexes in addition to the one on `_id`
PIECE_BYTES = 120 + 30 + 3 * 20
CHUNK_BYTES = 110 + 30 + 2 * 20
FILE_BYTES = 300 + 30 + 4 * 20
BYTES_OF_CHUNK = 255 * 1024


def size_of_document(key: Any, document: Document) -> int:
    """Size of the document of an entry

    Args:
        key: Its key
        document: The document, with or without the fields for its size and last use

    Raises:
        bson.errors.BSONError, OverflowError, ...: The document cannot be stored
    """
    from bson import encode

    stored = {'_size': 2**40, '_used': 2**62, **document, '_id': to_id(key)}
    return len(encode(stored)) + size_of_key(key) + DOCUMENT_BYTES


def size_of_file(key: Any, length: int) -> int:
    """Size of a file in GridFS"""
    chunks = size_of_pieces(key, length, -(-length // BYTES_OF_CHUNK), CHUNK_BYTES)
    return FILE_BYTES + 2 * size_of_key(key) + chunks


def size_of_pieces(key: Any, n_bytes: int, count: int, overhead: int = PIECE_BYTES) -> int:
    """Size of data in pieces; each piece contains the key, which is also in an index"""
    return n_bytes + count * (2 * size_of_key(key) + overhead)


def size_of_key(key: Any) -> int:
    key = from_id(key)
    return len(key) if isinstance(key, (str, bytes)) else 16
