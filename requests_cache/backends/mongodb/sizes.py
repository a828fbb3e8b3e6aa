"""How much entries take, as it is counted for bounds

Sizes are those of the data: of documents in BSON, and of what goes with each of them. The server packs documents on the
disk, and mostly needs less there. What goes with a document is its key in the index over `_id`, and 20 bytes in each
index and 30 in the collection for what the server adds (WiredTiger: the number of the record, lengths, and its share
of a page), as its documentation has it; `collStats` of a server tells what it really is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ids import from_id, to_id

if TYPE_CHECKING:
    Document = dict[str, Any]

# A document, and an index over the last use and the size
DOCUMENT_BYTES = 30 + 20 + 20 + 20
# A document without its data and its key, in a collection with two indexes more than that over `_id`
PIECE_BYTES = 120 + 30 + 3 * 20
CHUNK_BYTES = 110 + 30 + 2 * 20
FILE_BYTES = 300 + 30 + 4 * 20
BYTES_OF_CHUNK = 255 * 1024


def size_of_document(key: Any, document: Document) -> int:
    """Size of the document of an entry

    Args:
        key: Its key
        document: The document, whose own size and last use need not be in it yet

    Raises:
        bson.errors.BSONError, OverflowError, ...: It cannot be stored
    """
    from bson import encode

    stored = {'_size': 2**40, '_used': 2**62, **document, '_id': to_id(key)}
    return len(encode(stored)) + size_of_key(key) + DOCUMENT_BYTES


def size_of_file(key: Any, length: int) -> int:
    """Size of a file in GridFS"""
    chunks = size_of_pieces(key, length, -(-length // BYTES_OF_CHUNK), CHUNK_BYTES)
    return FILE_BYTES + 2 * size_of_key(key) + chunks


def size_of_pieces(key: Any, n_bytes: int, count: int, overhead: int = PIECE_BYTES) -> int:
    """Size of data in pieces, each of which has the key, which is in an index as well"""
    return n_bytes + count * (2 * size_of_key(key) + overhead)


def size_of_key(key: Any) -> int:
    key = from_id(key)
    return len(key) if isinstance(key, (str, bytes)) else 16
