"""Simulated requests for keys, which are the same in each run, and simple caches to compare with"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate

# The frequency of the nth most frequent key is n ** -SKEW
SKEW = 0.9
SEED = 20
# Requests between two scans, and requests in a scan, as a fraction of all keys
REQUESTS_BETWEEN_SCANS = 10_000
KEYS_PER_SCAN = 1 / 20

# Keys in scans are negative; none of them is requested again
Trace = Iterator[int]


def zipf(n_keys: int, n_requests: int) -> Trace:
    """Few keys that are requested all the time, and many that are hardly ever requested"""
    weights = accumulate(rank**-SKEW for rank in range(1, n_keys + 1))
    yield from random.Random(SEED).choices(range(n_keys), cum_weights=list(weights), k=n_requests)


def zipf_with_scans(n_keys: int, n_requests: int) -> Trace:
    """The same, with scans from time to time: many requests for new keys"""
    never_seen, length = 0, round(n_keys * KEYS_PER_SCAN)
    for number, key in enumerate(zipf(n_keys, n_requests), start=1):
        yield key
        if number % REQUESTS_BETWEEN_SCANS == 0:
            yield from range(never_seen - 1, never_seen - length - 1, -1)
            never_seen -= length


TRACES = {'zipf': zipf, 'scans': zipf_with_scans}


class ExactLRU:
    """A cache that evicts the least recently used key"""

    def __init__(self, size: int):
        self._keys: OrderedDict[int, None] = OrderedDict()
        self._size = size

    def ask(self, key: int) -> bool:
        """Whether the cache holds a key; adds it if not"""
        if key in self._keys:
            self._keys.move_to_end(key)
            return True
        self._keys[key] = None
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
        return False


class FIFO(ExactLRU):
    """A cache that evicts the key that was added first"""

    def ask(self, key: int) -> bool:
        return key in self._keys or super().ask(key)
