"""Requests for keys, made up but always the same, and the caches that others are compared with"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate

# Frequency of the nth most frequent key: n to the power of minus this
SKEW = 0.9
SEED = 20
# So often there is a scan, and so many keys are asked for in it, as a part of all keys
REQUESTS_BETWEEN_SCANS = 10_000
KEYS_PER_SCAN = 1 / 20

# Keys that are asked for in scans are negative, as none of them is asked for again
Trace = Iterator[int]


def zipf(n_keys: int, n_requests: int) -> Trace:
    """A few keys that are asked for all the time, and many that hardly anybody asks for"""
    weights = accumulate(rank**-SKEW for rank in range(1, n_keys + 1))
    yield from random.Random(SEED).choices(range(n_keys), cum_weights=list(weights), k=n_requests)


def zipf_with_scans(n_keys: int, n_requests: int) -> Trace:
    """The same, and every now and then somebody goes through a part of a collection once"""
    never_seen, length = 0, round(n_keys * KEYS_PER_SCAN)
    for number, key in enumerate(zipf(n_keys, n_requests), start=1):
        yield key
        if number % REQUESTS_BETWEEN_SCANS == 0:
            yield from range(never_seen - 1, never_seen - length - 1, -1)
            never_seen -= length


TRACES = {'zipf': zipf, 'scans': zipf_with_scans}


class ExactLRU:
    """What was used last stays, with a write for each use"""

    def __init__(self, size: int):
        self._keys: OrderedDict[int, None] = OrderedDict()
        self._size = size

    def ask(self, key: int) -> bool:
        """Whether there is an entry, which there is afterwards in any case"""
        if key in self._keys:
            self._keys.move_to_end(key)
            return True
        self._keys[key] = None
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
        return False


class FIFO(ExactLRU):
    """What was written last stays, whether it is used or not"""

    def ask(self, key: int) -> bool:
        return key in self._keys or super().ask(key)
