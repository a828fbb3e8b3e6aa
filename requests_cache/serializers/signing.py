"""Signed entries: each belongs to one key, and nobody without the secret key can make one

A signature over the stored bytes alone says that we wrote them, not for whom: whoever can write to the store could swap
two rows, and one user's request would be answered with another's page. So what is signed ends with a hash of the key
that it was stored under:

    serialized response, MARK, SHA-256 of the key, '.', signature

1.3.x and before sign the serialized response only, in the same way, with the same salt. They therefore read what is
written here, as pickles may have something behind their end. In the other direction, an entry of theirs is told by the
missing mark, and read unless that is refused. Nobody can turn one into the other, as the mark is signed, too. So the
only rows that can still be swapped are those that an earlier version wrote and signed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from .pipeline import Stage

MARK = b'\x00rc-key\x00'
_HASH_BYTES = 32
_TRAILER_BYTES = len(MARK) + _HASH_BYTES


class SigningStage(Stage):
    """Signs bytes together with the key of their entry, and refuses what is not signed for that key

    Args:
        secret_key: The key, or keys of which the last one signs and any one is accepted
        salt: Tells signatures made for this purpose from others with the same key
        accept_unbound: Read entries that say nothing of their key, as 1.3.x and before wrote them
    """

    takes_key = True
    # Pieces of large bodies, which the other stages do not see, are signed as well, each for its place
    takes_pieces = True

    def __init__(self, secret_key: Any = None, salt: str | bytes = 'requests-cache', accept_unbound: bool = True):
        from itsdangerous import Signer

        self.obj = Signer(secret_key=secret_key, salt=salt)
        self.accept_unbound = accept_unbound

    def dumps(self, value: bytes | str, key: Any = None) -> bytes:
        """Sign a value for a key; where nobody knows the key, as 1.3.x does"""
        data = value.encode() if isinstance(value, str) else value
        return self.obj.sign(data if key is None else b''.join((data, MARK, _hash(key))))  # type: ignore[no-any-return]

    def loads(self, value: bytes | str, key: Any = None) -> bytes:
        """The value that was signed

        Raises:
            itsdangerous.BadSignature: It was signed with another secret key, for another entry, or not at all
        """
        data: bytes = self.obj.unsign(value)
        if data[-_TRAILER_BYTES:-_HASH_BYTES] == MARK:
            # Where nobody knows the key, there is nothing to compare with
            if key is not None and data[-_HASH_BYTES:] != _hash(key):
                raise self._bad_signature('The entry was signed for another key', value)
            return data[:-_TRAILER_BYTES]
        if not self.accept_unbound:
            raise self._bad_signature('The entry was not signed for a key', value)
        return data

    def _bad_signature(self, message: str, value: Any) -> Exception:
        from itsdangerous import BadSignature

        return BadSignature(message, payload=value)


def _hash(key: Any) -> bytes:
    return sha256(str(key).encode('utf-8', 'surrogatepass')).digest()
