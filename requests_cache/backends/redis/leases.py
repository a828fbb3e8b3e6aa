"""Leases in Redis: a string for each, which the server removes if it is no longer written

NAMESPACE-lease:{NAMESPACE:KEY}    the lease for an entry

No entry has such a name, as keys are escaped, see `names`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..leases import Leases
from .commands import is_refusal
from .names import encode, name_of_entry

if TYPE_CHECKING:
    from .storage import RedisStorage

# Much longer than the interval at which a holder rewrites its lease
LEASE_MILLISECONDS = 60_000


class RedisLeases(Leases):
    """The leases for the entries of one storage

    Args:
        storage: The storage
        namespace: Its namespace
    """

    def __init__(self, storage: RedisStorage, namespace: str):
        self._storage = storage
        self._namespace = namespace
        self._prefix = encode(f'{namespace}-lease:')

    def name(self, key: str) -> bytes:
        """The name of the lease for a key"""
        return b'%b{%b}' % (self._prefix, name_of_entry(self._namespace, key))

    def read(self, key: str) -> str | None:
        with self._storage._calling('read from it'):
            return _text(self._storage._client.get(self.name(key)))

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        name = self.name(key)
        with self._storage._calling('write to it'):
            if old is None:
                return new is None or bool(self._storage._client.set(name, new, nx=True, px=LEASE_MILLISECONDS))
            try:
                return self._replace(name, old, new)
            except Exception as e:
                if not is_refusal(e):
                    raise
            return self._replace_in_two_steps(name, old, new)

    def _replace(self, name: bytes, old: str, new: str | None) -> bool:
        def replace(pipeline: Any) -> bool:
            pipeline.watch(name)
            if _text(pipeline.get(name)) != old:
                return False
            pipeline.multi()
            _write(pipeline, name, new)
            pipeline.execute()
            return True

        return self._storage._connection.in_transaction(name, replace)

    def _replace_in_two_steps(self, name: bytes, old: str, new: str | None) -> bool:
        """For users without permission for transactions; at worst, two processes send the same request"""
        client = self._storage._client
        if _text(client.get(name)) != old:
            return False
        _write(client, name, new)
        return True


def _write(client: Any, name: bytes, value: str | None) -> None:
    if value is None:
        client.unlink(name)
    else:
        client.set(name, value, px=LEASE_MILLISECONDS)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode('utf-8', 'replace')
