"""Signed entries: each is bound to its key, and only the owner of the secret key can create one

A signature of the stored bytes alone would not be sufficient: somebody who can write to the store could swap two
entries, and one user's request would be answered with another user's page. So the signature includes the key:

    serialized response, MARK, SHA-256 of the key, '.', signature

1.3.x and earlier versions sign only the serialized response, with the same salt. They can read these entries, as they
ignore data after the end of a pickle. Entries from these versions are recognised by the missing mark, and read unless
`accept_unbound` is false. One form cannot be turned into the other, because the mark is signed too. So only entries
from earlier versions can still be swapped.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from .pipeline import Stage

MARK = b'\x00rc-key\x00'
_HASH_BYTES = 32
_TRAILER_BYTES = len(MARK) + _HASH_BYTES


class SigningStage(Stage):
    """Signs entries together with their keys, and verifies the signatures

    Args:
        secret_key: The secret key, or several: the last one signs, and signatures with any of them are accepted
        salt: Distinguishes these signatures from others that are made with the same secret key
        accept_unbound: Also read entries that were signed without their key, as by 1.3.x and earlier versions
    """

    takes_key = True
    # Pieces of large bodies bypass the other stages, but are signed too, each together with its place
    takes_pieces = True

    def __init__(self, secret_key: Any = None, salt: str | bytes = 'requests-cache', accept_unbound: bool = True):
        from itsdangerous import Signer

        self.obj = Signer(secret_key=secret_key, salt=salt)
        self.accept_unbound = accept_unbound

    def dumps(self, value: bytes | str, key: Any = None) -> bytes:
        """Sign a value together with its key; without a key, sign the value alone like 1.3.x"""
        data = value.encode() if isinstance(value, str) else value
        return self.obj.sign(data if key is None else b''.join((data, MARK, _hash(key))))  # type: ignore[no-any-return]

    def loads(self, value: bytes | str, key: Any = None) -> bytes:
        """Verify a signature, and return the value that was signed

        Raises:
            itsdangerous.BadSignature: The value was signed with a different secret key, for a different entry, or not
                at all
        """
        data: bytes = self.obj.unsign(value)
        if data[-_TRAILER_BYTES:-_HASH_BYTES] == MARK:
            # Without a key, there is nothing to compare with
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
